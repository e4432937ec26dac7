"""Run a candidate program on the tests of a row and decide which tests it passes.

Names for the converters of `preprocess`: `is_accepted` (comparison), `read_tests`, `read_text` (ground_truth). For the
built-in rewards also `NoProcessError`, `Outcome`, `call_again`, `call_function`, `pack_arguments`, `run_tests`, `run_texts`
(candidate), `Checker`, `run_checker` (checker), `write` (cheats), `Rules`, `is_accepted_text` (comparison), `Check`
(expected_calls), `CallTests`, `Choose`, `Tests`, `TextTests` (ground_truth).

`inside/` has the runners, which are sent to the sandbox as source and import only the standard library and their own package.
"""
