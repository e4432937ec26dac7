"""Calls a function of a program and reports what each line did: runs in the sandbox, beside the program.

`main(text)`: a JSON object with `token`, `code`, `function`, `args` (source of the arguments), `most_steps`, `longest_value`
and `longest_result`. Writes one JSON line with the token and either `value` (a literal) and `steps`, as
`recorder.Recorder` has them, or `error` (why there are none). What the program itself writes goes nowhere.
"""

from __future__ import annotations

import builtins
import os
import sys
from json import dumps, loads

from preprocess.tracing.inside.instrument import BEGIN, END, LOOP, NotFollowedError, instrument
from preprocess.tracing.inside.recorder import Recorder
from preprocess.tracing.inside.values import NoLiteralError, literal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# What a program does to the built-in functions, or to `os`, does not reach this file.
globals().update({name: value for name, value in vars(builtins).items() if not name.startswith("_")})
_write, _get_process = os.write, os.getpid


def main(text: str) -> None:
    """Runs one task."""
    task = loads(text)
    channel, process = os.dup(1), _get_process()
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    recorder = Recorder(task["most_steps"], task["longest_value"])
    os.register_at_fork(before=lambda: recorder.fail("it forks"))
    try:
        value = _run(task, recorder)
        report = {"value": literal(value, task["longest_result"]), "steps": recorder.steps}
    except BaseException as error:
        report = {"error": _describe(error)}
    finally:
        recorder.is_on = False
    if recorder.fault:
        report = {"error": recorder.fault}
    # The line begins here, whatever the program found its way to write before. A process that it forked says nothing.
    data = f"\n{dumps({'token': task['token'], **report})}\n".encode()
    while data and _get_process() == process:
        data = data[_write(channel, data) :]


def _run(task: dict[str, Any], recorder: Recorder) -> Any:
    built_ins = {**vars(builtins), BEGIN: recorder.begin, LOOP: recorder.loop, END: recorder.end}
    # A module of its own: dataclasses and others look up the module of a class by its name.
    module = type(sys)("program")
    sys.modules["program"] = module
    namespace = module.__dict__
    namespace["__builtins__"] = built_ins
    exec(instrument(task["code"]), namespace)
    # Before the recorder is on: what arguments are made of is no part of the call.
    namespace["__take__"] = lambda *args, **kwargs: (args, kwargs)
    args, kwargs = eval(f"__take__({task['args']}\n)", namespace)
    function = namespace[task["function"]]
    recorder.is_on = True
    return function(*args, **kwargs)


def _describe(error: BaseException) -> str:
    if type(error) is NoLiteralError:
        return f"it returns no literal: {error}"
    if type(error) is NotFollowedError:
        return str(error)
    try:
        return f"{type(error).__name__}: {error}"[:200]
    except BaseException:
        return "an exception that has no text"
