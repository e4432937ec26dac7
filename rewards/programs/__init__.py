"""Run a candidate program on the tests of a row and decide which tests it passes.

Names for other rooms:

- `Candidate`, `Outcome`, `TestSource`, `call_function`, `pack_arguments`, `run_tests`, `run_texts` (`candidate`)
- `write` (`cheats`)
- `is_accepted`, `is_accepted_text` (`comparison`)
- `Check` (`expected_calls`)
- `CallTests`, `Choose`, `SourceTests`, `Tests`, `TextTests`, `parse_tests`, `read_tests`, `read_text` (`ground_truth`)

`inside/` has the runners, which are sent to the sandbox as source. They import only the standard library and their own package.
"""
