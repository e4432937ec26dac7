"""What a forked process does to become the program: it gives up every right, then runs the code as `__main__`."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal`, without its enumerations, which slow down every call
import atexit
import contextlib
import os
import resource
import signal
import sys
import threading
from types import ModuleType, TracebackType
from typing import Any, NoReturn

from rewards.sandbox.local.inside import kernel
from rewards.sandbox.local.inside.limits import Request
from rewards.sandbox.local.inside.worker import PROGRAM_USER, Worker

NAME = "main.py"
"""The program's file name in tracebacks."""

_OURS = __file__.rpartition("/")[0]


def become_program(worker: Worker, request: Request, code: bytes, streams: tuple[int, int, int]) -> NoReturn:
    """Run a program in this process, and end with it."""
    status = 1
    try:
        give_up_rights(worker, request, streams)
        status = _run(worker, request, code.decode("utf-8", errors="surrogatepass"))
    except BaseException:
        with contextlib.suppress(BaseException):
            report_exception()
    finally:
        os._exit(status)


def give_up_rights(worker: Worker, request: Request, streams: tuple[int, int, int], kept: int = -1) -> None:
    """Leave this process only its streams and its limits.

    After a fork every page that is written to is copied, and counting a reference writes. So this is short, and as much as
    possible is done before the fork.

    `streams` become the standard streams, and `kept`, unless -1, becomes descriptor 3. All other descriptors are closed.
    """
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
    first = 3
    if kept >= 0:
        os.dup2(kept, 3)
        first = 4
    if not worker.in_namespaces:
        os.setsid()
        kernel.die_with_parent(signal.SIGKILL)
        if worker.ruleset >= 0:
            kernel.restrict_files(worker.ruleset)
    os.closerange(first, 1 << 16)
    _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    for kind, values in request.prepared:
        resource.setrlimit(kind, values)
    if worker.switches_user:
        # From root of the namespace to another user: this drops all capabilities (capabilities(7)).
        os.setresuid(PROGRAM_USER, PROGRAM_USER, PROGRAM_USER)
    else:
        kernel.drop_capabilities()
    if worker.filter:
        kernel.restrict_calls(worker.filter)


def _run(worker: Worker, request: Request, code: str) -> int:
    if request.uses:
        worker.runners[request.uses].main(code)
        return _finish(0)
    module = make_main()
    try:
        exec(compile(code, NAME, "exec", dont_inherit=True), module.__dict__)
    except SystemExit as stop:
        return _finish(read_status(stop.code))
    except BaseException:
        report_exception()
        return _finish(1)
    return _finish(0)


def make_main() -> ModuleType:
    """Install and return an empty `__main__`."""
    module = sys.modules["__main__"] = ModuleType("__main__")
    module.__dict__.update(__builtins__=__builtins__)
    sys.argv = [NAME]
    return module


def report_exception() -> None:
    """Write the traceback of the exception being handled, without our frames and without source lines."""
    kind, error, trace = sys.exc_info()
    assert kind is not None
    assert error is not None
    error.__traceback__ = skip_our_frames(trace)
    # The program may have replaced it.
    sys.stderr = sys.__stderr__
    # The printer would look for a file of the program's name in every folder on the path.
    path, sys.path = sys.path, []
    sys.__excepthook__(kind, error, error.__traceback__)
    sys.path = path


def skip_our_frames(trace: TracebackType | None) -> TracebackType | None:
    """Return the part of a traceback that begins in the program."""
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_OURS):
        trace = trace.tb_next
    return trace


def read_status(code: Any) -> int:
    """Return the exit status for SystemExit, like `handle_system_exit` in Python/pythonrun.c."""
    if code is None:
        return 0
    if isinstance(code, int):
        return code & 0xFF
    with contextlib.suppress(BaseException):
        print(code, file=sys.stderr)
    return 1


def _finish(status: int) -> int:
    """Do what the interpreter does at its end: wait for threads, call exit functions, and flush the streams."""
    try:
        if len(threading._active) > 1:  # type: ignore[attr-defined]
            threading._shutdown()  # type: ignore[attr-defined]
        if atexit._ncallbacks():
            atexit._run_exitfuncs()
    except BaseException:
        status = status or 1
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:
            status = status or 120
    return status
