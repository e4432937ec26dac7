"""Run a row's checker on the outputs of a program. The program itself never runs in this process.

`main(task)` takes a JSON object with `token` and `checker`, source that defines `check(input, output, expected)`. Standard
input is a JSON list of cases, each `[[input, output, expected], {}]` or, if JSON cannot represent them, that as a Python
literal in a string. Each line of standard output is a JSON report with the token: `{"i": number of the case, "ok": accepted}`,
with the error as `e` if the checker raised one, or `{"fault": error}` if it does not load.
"""

from __future__ import annotations

import ast
import io
import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would slow down every run
    from typing import Any


def main(text: str) -> None:
    task = json.loads(text)
    cases = json.loads(sys.stdin.read())
    channel = os.dup(1)
    sys.stdout = io.StringIO()

    def report(**values: Any) -> None:
        os.write(channel, (json.dumps({**values, "token": task["token"]}) + "\n").encode())

    module = type(sys)("checker")
    sys.modules["checker"] = module
    try:
        exec(compile(task["checker"], "<checker>", "exec", dont_inherit=True), module.__dict__)
        check = module.__dict__["check"]
    except BaseException as error:
        report(fault=f"{type(error).__name__}: {error}")
        return
    for number, case in enumerate(cases):
        try:
            args, _ = ast.literal_eval(case) if isinstance(case, str) else case
            report(i=number, ok=bool(check(*args)))
        except BaseException as error:
            report(i=number, ok=False, e=f"{type(error).__name__}: {error}"[:300])
