"""Call a function of a program and report what each line did. Runs in the sandbox, in the program's process.

`main(text)` takes a JSON object with `token`, `code`, `function`, `args` (source of the arguments) and `max_steps`. It writes
one JSON line with the token and either `value` (a literal) and `steps` (see `recorder.Recorder`), or `error` (the reason).
Output of the program is discarded. Imports only the standard library.
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

# The program may replace built-in functions, or functions of `os`: keep the originals.
globals().update({name: value for name, value in vars(builtins).items() if not name.startswith("_")})
_write, _get_process = os.write, os.getpid

_MAX_VALUE_CHARS = 100
MAX_CALL_CHARS = 2000
"""Of a call's arguments, and of its return value."""


def main(text: str) -> None:
    """Run one task and write its report."""
    task = loads(text)
    channel, process = os.dup(1), _get_process()
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    recorder = Recorder(task["max_steps"], _MAX_VALUE_CHARS)
    os.register_at_fork(before=lambda: recorder.fail("it forks"))
    try:
        value = _run(task, recorder)
        report = {"value": literal(value, MAX_CALL_CHARS), "steps": recorder.steps}
    except BaseException as error:
        report = {"error": _describe(error)}
    finally:
        recorder.is_on = False
    if recorder.fault:
        report = {"error": recorder.fault}
    # The newline ends anything that the program wrote to the channel. Forked processes do not report.
    data = f"\n{dumps({'token': task['token'], **report})}\n".encode()
    while data and _get_process() == process:
        data = data[_write(channel, data) :]


def _run(task: dict[str, Any], recorder: Recorder) -> Any:
    # A real module: dataclasses look up the module of a class by its name.
    module = sys.modules["program"] = type(sys)("program")
    namespace = module.__dict__
    namespace["__builtins__"] = {**vars(builtins), BEGIN: recorder.begin, LOOP: recorder.loop, END: recorder.end}
    exec(instrument(task["code"]), namespace)
    # Evaluating the arguments is not part of the call, so the recorder is still off.
    namespace["__take__"] = lambda *args, **kwargs: (args, kwargs)
    args, kwargs = eval(f"__take__({task['args']}\n)", namespace)
    function = namespace[task["function"]]
    recorder.is_on = True
    return function(*args, **kwargs)


def _describe(error: BaseException) -> str:
    if type(error) is NoLiteralError:
        return f"its return value has no literal: {error}"
    if type(error) is NotFollowedError:
        return str(error)
    try:
        return f"{type(error).__name__}: {error}"[:200]
    except BaseException:
        return "an exception that has no text"
