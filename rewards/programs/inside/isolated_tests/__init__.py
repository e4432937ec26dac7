"""Run tests against a candidate that never sees them: two processes that exchange only plain data.

`main(task)` takes the candidate as a JSON object: `prelude`, `code`, `function`, and `tested`, the names that only the code
may define. The candidate's process is forked before the tests are read from standard input, so the tests, the expected
values and the token of the verdicts are never in its memory. Standard input is JSON: `token`, `kind`, `sources`, `helpers`,
`max_tests`. Each line of standard output is a JSON report with the token: `{"total": n}`, then
`{"i": test, "ok": true | false | null}` (null: the test never used the candidate); for the kind `calls`,
`{"i": call, "v": value}` or `{"i": call, "e": error}`; or `{"unsupported": what}`, or `{"no_process": why}`.

Tests access the candidate's functions and objects through `Remote`. Plain data and instances of the prelude's classes are
copied between the processes, and changes that a call makes to its arguments are applied to the tests' own objects.
Everything else stays in the candidate's process and is queried there, except for whether it equals a plain value: the tests'
process decides that.
"""

import builtins
import sys

from rewards.programs.inside.isolated_tests.processes import main

__all__ = ["main"]

# Keep references to the built-in functions in every module, because the candidate may replace them in `builtins`.
for _name, _module in list(sys.modules.items()):
    if _name.startswith(f"{__name__}.") and "pytest_shim" not in _name:
        for _key, _value in vars(builtins).items():
            if not _key.startswith("_"):
                vars(_module).setdefault(_key, _value)
