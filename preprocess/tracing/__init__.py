"""Programs to white-box questions about their execution.

Other rooms use `read_program`, `Function` (functions), `Unusable` (calls), `trace`, `Trace`, `Step` (trace), `make_questions`
and `Questions` (questions). `inside` runs in the sandbox.
"""
