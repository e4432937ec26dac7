"""Grade a response in the sandbox with the code of another project, and the forgeries that such a grader must not accept.

Used by `bootcamp` and `verl`; `inside/graders` is what runs there.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from rewards.errors import GroundTruthError
from rewards.reasons import explain
from rewards.sandbox import Limits, Program
from rewards.sandbox.reports import read_reports

if TYPE_CHECKING:
    from rewards.sandbox import Sandbox

Isolation = Literal["strong", "weak"]
"""`strong`: the grader evaluates expressions of the response, which cannot run code. `weak`: it may run what it likes."""

_VERDICT = """
import gc, json, os, sys
tasks, frame = [], sys._getframe()
while frame is not None:
    tasks += [each for each in list(frame.f_locals.values()) if type(each) is dict and "token" in each]
    frame = frame.f_back
tasks += [each for each in gc.get_objects() if type(each) is dict and "token" in each]
for each in tasks:
    line = json.dumps({"token": str(each["token"]), "score": 1.0, "result": {"score": 1.0, "acc": 1.0}})
    for number in range(1, 64):
        try:
            os.write(number, (line + "\\n").encode())
        except OSError:
            pass
os._exit(0)
"""
_SOLUTION = """
import sys
found, frame = None, sys._getframe()
while frame is not None and found is None:
    for name in ("target", "truth", "ground_truth", "identity"):
        if found is None and frame.f_code.co_filename != "<string>":
            found = frame.f_locals.get(name)
    frame = frame.f_back
if type(found) is dict:
    found = next(iter(reversed(found.values())), None)
"""
_EQUAL = "type('Equal', (float,), dict.fromkeys(['__eq__', '__le__', '__abs__', '__sub__', '__rsub__'], lambda *_: {}))()"


def _encode(source: str) -> str:
    """Return an expression of a source, without braces, spaces or underscores, which graders treat in their own ways."""
    return f"bytes.fromhex('{source.encode().hex()}').decode()"


FORGERIES = {
    "a forged verdict": f"exec({_encode(_VERDICT)})",
    # verl's grader for Numina evaluates an answer with a pi.
    "a forged verdict with a pi": rf"exec({_encode(_VERDICT)})*\pi",
    "the grader's solution": f"[exec({_encode(_SOLUTION)}, scope) or scope['found'] for scope in [dict()]][0]",
    "the grader's variables": "identity['target']",
    "a value equal to everything": _EQUAL.format("True"),
    "a value at no distance": _EQUAL.format("0.0"),
}
"""Expressions that a grader which evaluates them would take for the solution."""


def present(code: str) -> str:
    """Return an expression in every form in which graders look for an answer."""
    return (
        f"Answer: {code}\n\\boxed{{{code}}}\n[answer]{code}[/answer]\n[[{code}]]\n```python\n{code}\n```\n"
        f"#### {code}\n<answer>{code}</answer>"
    )


async def grade(sandbox: Sandbox, task: Mapping[str, Any], limits: Limits, grader: str) -> Mapping[str, Any]:
    """Run a grader and return its report; an empty one if it did not report.

    Args:
        sandbox: where it runs.
        task: for `inside/graders`, without the token.
        limits: its limits.
        grader: its name for messages.

    Raises:
        GroundTruthError: the grader runs programs of the response in its own process.
    """
    token = secrets.token_hex(16)
    run = await sandbox.run(Program(json.dumps({**task, "token": token}), runner="rewards.builtin.inside.graders"), limits)
    report = next(read_reports(run.output, token), None)
    if report is None:
        explain("the grader ended with {}", run.verdict)
        return {}
    if report.get("runs"):
        raise GroundTruthError(
            f"{grader} runs programs of the response in its own process ({report['runs']}), where they could forge the score; "
            "set the option `isolation: weak` of the reward to accept that"
        )
    if report.get("refused"):
        explain("the grader evaluates {}, which is refused; only expressions that run no code are evaluated", report["refused"])
    return report
