"""What several converters share.

Problems with tests become rows in `code_task`, calls of functions in `execution`, conversations in `conversations`. `wording`
has the prompts, `tests` and `signatures` read published tests and programs, `tool_calls` runs code in the interpreter tool.
Other rooms use `FileOptions`, `Exercise` (execution) and `wording`.
"""
