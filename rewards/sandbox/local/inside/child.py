"""What a forked process does to become the program: it gives up every right, then runs the code as `python main.py` would."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal`, without its enumerations, which slow down every call
import atexit
import contextlib
import gc
import operator
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from functools import partial
from types import ModuleType
from typing import Any

from rewards.sandbox.local.inside import driver, kernel
from rewards.sandbox.local.inside.driver import Action
from rewards.sandbox.local.inside.limits import Request
from rewards.sandbox.local.inside.worker import PROGRAM_USER, Worker

NAME = "main.py"
"""The program's file name in tracebacks."""

_STREAMS: tuple[Any, ...] = (sys.__stdout__, sys.__stderr__)
_read_code: Callable[[BaseException], Any] = vars(SystemExit)["code"].__get__
flush = operator.methodcaller("flush")


def become_program(worker: Worker, request: Request, length: int, streams: tuple[int, int, int]) -> None:
    """Make this process the program whose source is in the worker's buffer."""
    try:
        give_up_rights(worker, request, streams)
        code = bytes(worker.code.view[:length]).decode("utf-8", errors="surrogatepass")
        worker.code.clear()
        runner = worker.runners[request.uses] if request.uses else None
        if runner is None or hasattr(runner, "NAMES"):
            driver.become(_Program(code, {} if runner is None else runner.NAMES, f"{worker.work}/{NAME}"))
        else:
            driver.become(_Runner(runner, code))
        worker.report_start()
    except BaseException:
        os._exit(driver.BROKEN)


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
    elif not worker.reads_all:
        kernel.drop_capabilities()
    if worker.filter:
        kernel.restrict_calls(worker.filter)


class _Ending:
    """Ends a process as the interpreter does: waits for threads, calls exit functions, and flushes the streams."""

    def __init__(self) -> None:
        self._status = 0
        self._rest: list[Callable[[], Action | None]] = [
            *(self._wait_for_threads, self._call_exit_functions, self._flush_output, *self._drop_objects()),
            *(self._flush_errors, self._exit),
        ]
        """Methods that choose the next actions."""

    def next(self) -> Action | None:
        return self._rest.pop(0)()

    def failed(self, error: BaseException | None) -> None:
        self._status = self._status or 120  # as if a stream could not be flushed

    def _drop_objects(self) -> list[Callable[[], Action | None]]:
        return []

    def _wait_for_threads(self) -> Action | None:
        return threading._shutdown if len(threading._active) > 1 else None  # type: ignore[attr-defined]

    def _call_exit_functions(self) -> Action | None:
        return atexit._run_exitfuncs if atexit._ncallbacks() else None

    def _flush_output(self) -> Action | None:
        return partial(flush, sys.stdout) if getattr(sys, "stdout", None) is not None else None

    def _flush_errors(self) -> Action | None:
        return partial(flush, sys.stderr) if getattr(sys, "stderr", None) is not None else None

    def _exit(self) -> None:
        for stream in _STREAMS:
            with contextlib.suppress(BaseException):  # closed or detached
                stream.flush()
        os._exit(self._status)


class _Program(_Ending):
    """A program."""

    def __init__(self, code: str, names: Mapping[str, Any], file: str) -> None:
        super().__init__()
        self._code, self._names, self._file = code, names, file
        self._held: list[ModuleType] = []
        self._raised: list[BaseException] = []
        self._is_running = True
        self._rest[:0] = [self._run, self._report]

    def failed(self, error: BaseException | None) -> None:
        if not self._is_running:
            super().failed(error)
        elif error is None:
            self._status = 1
        else:
            self._raised.append(error)

    def _run(self) -> Action | None:
        module = make_main(self._code, self._file)
        module.__dict__.update(self._names)
        self._held.append(module)
        try:
            # Without a mark, which an editor on Windows puts before the source.
            compiled = compile(self._code.removeprefix("\ufeff"), NAME, "exec", dont_inherit=True)
        except BaseException as error:
            self._raised.append(error.with_traceback(None))
            return None
        return partial(exec, compiled, module.__dict__)

    def _report(self) -> Action | None:
        self._is_running = False
        if not self._raised:
            return None
        error = self._raised.pop()
        if issubclass(type(error), SystemExit):
            self._status, action = read_status(error)
            return action
        self._status = 1
        return report(error)

    def _drop_objects(self) -> list[Callable[[], Action | None]]:
        """Objects may print at their end, and files may hold output."""
        return [self._forget_main, lambda: self._held.clear, lambda: gc.collect, self._flush_output]

    def _forget_main(self) -> None:
        sys.modules.pop("__main__", None)


class _Runner(_Ending):
    """The steps of a runner: those that its `start` returns, or one call of its `main`."""

    def __init__(self, runner: ModuleType, task: str) -> None:
        super().__init__()
        self._steps = runner.start(task) if hasattr(runner, "start") else None
        self._rest[:0] = [self._step] if self._steps is not None else [lambda: partial(runner.main, task)]

    def failed(self, error: BaseException | None) -> None:
        if self._steps is not None:
            self._steps.failed(error)
        elif error is not None and not self._status:
            self._status = 1
            self._rest.insert(0, lambda: report(error))

    def _step(self) -> Action | None:
        assert self._steps is not None
        action: Action | None = self._steps.next()
        if action is None:
            self._steps = None
        else:
            self._rest.insert(0, self._step)
        return action


class _Source:
    """Gives `inspect` and `linecache` the source of the program, which is in no file."""

    def __init__(self, code: str) -> None:
        self._code = code

    def get_source(self, name: str) -> str:
        """Return the source."""
        return self._code


def make_main(code: str = "", file: str = NAME) -> ModuleType:
    """Install and return an empty `__main__`, as for `python main.py`."""
    module = sys.modules["__main__"] = ModuleType("__main__")
    module.__dict__.update(__builtins__=__builtins__, __file__=file, __loader__=_Source(code), __cached__=None)
    sys.argv = [NAME]
    sys.orig_argv[:] = ["python", NAME]
    return module


def report(error: BaseException) -> Action:
    """Return the action that prints an exception's traceback, without source lines."""
    if sys.excepthook is sys.__excepthook__:
        # The program may have replaced it.
        sys.stderr = sys.__stderr__
    return partial(sys.excepthook, type(error), error, error.__traceback__)


def read_status(stop: BaseException) -> tuple[int, Action | None]:
    """Return the exit status, and the action that prints the rest, like `handle_system_exit` in Python/pythonrun.c."""
    # Not `stop.code`, which a class of the program may have replaced.
    code = _read_code(stop)
    if code is None:
        return 0, None
    if issubclass(type(code), int):
        return int.__and__(code, 0xFF), None
    return 1, partial(print, code, file=sys.stderr)
