"""A run directory from start to end: plan the steps, execute them, record their outcomes, hand models over.

Used by other rooms: `make_plan`, `Plan`, `Step`, `Machine` (plan); `find_machine`, `find_environments` (machine); `execute`
(execute); `describe_run` (description); `Display` (display); `find_reasons`, `render_plan` (plan_text); `Stopped`,
`signals_as_stopped` (process).
"""
