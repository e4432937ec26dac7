"""Run a candidate program on the tests of a row and decide which tests it passes.

Names for the converters of `preprocess`: `is_accepted` (inside.judge.comparison), `read_tests`, `read_text` (ground_truth). For
the built-in rewards also `NoProcessError`, `Outcome`, `call_again`, `call_function`, `pack_arguments`, `run_tests`, `run_texts`
(candidate), `Checker`, `run_checker` (checker), `write` (cheats), `describe` (expected_calls), `Check` (inside.judge.check),
`Rules` (inside.judge.comparison), `accepts_text` (judging), `CallTests`, `Choose`, `Tests`, `TextTests` (ground_truth).

`inside/` has the runners, which are sent to the sandbox as source and import only the standard library and their own package.
`inside/judge` compares values and texts: this process imports it for small outputs, and runs it in the sandbox for large ones.
"""
