"""Judge a program's output away from the process that scores: what a program reports must not fill or block that process.

`main(task)` takes a JSON object, and the program's output as standard input, and writes lines of JSON:

- `checks`, from `write_checks`: the output has reports of `rewards.programs.inside.calls`. For each call that returned a value,
  `{"i": number of the call, "ok": whether the check accepts it, "got": the beginning of the report}`; for each other one that
  was reported, `{"i": number, "e": error}`; number -1 is the program itself.
- `expected` and `options` of `is_accepted_text`: `{"ok": whether the output is accepted}`.

The process that scores imports the same modules and judges small outputs itself.
"""

from __future__ import annotations

import gc
import json
import sys

from rewards.programs.inside.judge.check import read_checks
from rewards.programs.inside.judge.comparison import is_accepted_text
from rewards.programs.inside.judge.reports import read_calls


def main(text: str) -> None:
    gc.disable()  # it would visit millions of values again and again
    task = json.loads(text)
    if "expected" in task:
        output = sys.stdin.buffer.read().decode("utf-8", "replace")
        print(json.dumps({"ok": is_accepted_text(output, task["expected"], **task["options"])}))
        return
    checks = read_checks(task["checks"])
    lines = (line.decode("utf-8", "replace") for line in sys.stdin.buffer)
    for number, report in read_calls(lines, len(checks)):
        if report.error is None:
            verdict = {"i": number, "ok": checks[number].accepts(report.value), "got": report.beginning}
        else:
            verdict = {"i": number, "e": report.error}
        print(json.dumps(verdict), flush=True)
