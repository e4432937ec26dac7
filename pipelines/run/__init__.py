"""A run directory from start to end: plan the steps, execute them, record their outcomes, hand models over.

Used by other rooms: `make_plan`, `Plan`, `Step`, `Machine` (plan); `find_machine`, `find_environments`, `choose_platform`
(machine); `execute` (execute); `describe_run` (description); `Display` (display); `find_reasons`,
`render_steps`, `render_commands`, `render_problems` (plan_text); `render_diff` (plan_diff); `Stopped`,
`signals_as_stopped` (process).
"""
