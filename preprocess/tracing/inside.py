"""Calls a function under a tracer and reports each step: runs in the sandbox.

`main(text)`: a JSON object with `code`, `function` and `calls` (sources of arguments). Writes one JSON line per call: either
`{"value": literal, "steps": [[line, {name: [type, literal]}], …]}`, where a step's names are those whose value the
line changed in the function's own first frame, or `{"error": text}`.
"""

from __future__ import annotations

import json
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would cost every run
    from types import CodeType, FrameType
    from typing import Any

_MOST_STEPS = 300
_ATOMS = (int, bool, str, float, type(None))


def literal(value: Any) -> str:
    """The value as source text; TypeError where it has none."""
    kind = type(value)
    if kind in _ATOMS:
        text = repr(value)
        if text in ("nan", "inf", "-inf"):
            raise TypeError(f"{text} has no literal")
        return text
    if kind is list:
        return "[" + ", ".join([literal(item) for item in value]) + "]"
    if kind is tuple:
        return "(" + ", ".join([literal(item) for item in value]) + ("," if len(value) == 1 else "") + ")"
    if kind is set and value:
        return "{" + ", ".join(sorted(literal(item) for item in value)) + "}"
    if kind is dict:
        return "{" + ", ".join([f"{literal(key)}: {literal(item)}" for key, item in value.items()]) + "}"
    raise TypeError(f"a {kind.__name__} is not plain data")


def _look(frame: FrameType) -> dict[str, list[str]]:
    state = {}
    for name, value in frame.f_locals.items():
        try:
            state[name] = [type(value).__name__, literal(value)]
        except (TypeError, RecursionError):
            continue
    return state


class Tracer:
    """Follows the first frame of one function."""

    def __init__(self, code: CodeType) -> None:
        self.code = code
        self.frame: FrameType | None = None
        self.steps: list[list[Any]] = []
        self.state: dict[str, list[str]] = {}

    def enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        """The trace function for calls."""
        if self.frame is None and event == "call" and frame.f_code is self.code:
            self.frame, self.state = frame, _look(frame)
            return self.follow
        return None

    def follow(self, frame: FrameType, event: str, argument: Any) -> Any:
        """The trace function of the frame."""
        if event in ("line", "return"):
            now = _look(frame)
            if self.steps:
                self.steps[-1][1] = {name: each for name, each in now.items() if self.state.get(name) != each}
            self.state = now
        if event == "line":
            if len(self.steps) >= _MOST_STEPS:
                raise OverflowError(f"more than {_MOST_STEPS} steps")
            self.steps.append([frame.f_lineno, {}])
        return self.follow


def main(text: str) -> None:
    """Runs one task."""
    task = json.loads(text)
    channel = os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    namespace: dict[str, Any] = {"__name__": "program"}
    code: CodeType
    broken: BaseException | None = None
    try:
        exec(compile(task["code"], "<traced>", "exec", dont_inherit=True), namespace)
        code = namespace[task["function"]].__code__
    except BaseException as error:
        broken = error
    for args in task["calls"]:
        try:
            if broken:
                raise broken
            call = compile(f"{task['function']}({args})", "<call>", "eval", dont_inherit=True)
            tracer = Tracer(code)
            sys.settrace(tracer.enter)
            try:
                value = eval(call, namespace)
            finally:
                sys.settrace(None)
            result = {"value": literal(value), "steps": tracer.steps}
        except BaseException as error:
            result = {"error": f"{type(error).__name__}: {error}"[:200]}
        os.write(channel, (json.dumps(result) + "\n").encode())
