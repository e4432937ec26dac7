"""Call a candidate's function and report the results. Expected values are never sent here.

The task is a JSON object with `prelude` and `code` (sources), `function` (`name` or `Class().method`), `tested` (names that
only the code may define) and `calls`, each `[args, kwargs]` or, if JSON cannot represent them, the Python literal
`(args, kwargs)` as a string. With prelude null, the code gets the names that graders import. Each line of standard output is
the JSON report of a call: `{"i": number of the call, "v": value}`, with values for `rewards.programs.candidate.unpack`, or
`{"i": number, "e": error}`; number -1 is the program itself.

`start(task)` returns the steps of this: the local sandbox calls the actions, none of which has a function of this package
below it. `main(task)` does the same where nothing else does. `names` runs a program with the names that graders import.
"""

import builtins
import sys

from rewards.programs.inside.calls.steps import main, start

__all__ = ["main", "start"]

# Keep references to the built-in functions in every module, because the program may replace them in `builtins`.
for _name, _module in list(sys.modules.items()):
    if _name.startswith(f"{__name__}."):
        for _key, _value in vars(builtins).items():
            if not _key.startswith("_"):
                vars(_module).setdefault(_key, _value)
