"""What a forked process does to become the program: it gives up every right, then runs the code as `python main.py` would."""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # `signal`, without its enumerations, which slow down every call
import atexit
import contextlib
import gc
import operator
import re
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from io import TextIOWrapper
from os import _exit, closerange, dup2, eventfd_write, setresuid, setsid
from resource import setrlimit
from types import ModuleType
from typing import Any

from rewards.sandbox.local.inside import driver, kernel
from rewards.sandbox.local.inside.driver import Action, become
from rewards.sandbox.local.inside.worker import PROGRAM_USER, Rights

NAME = "main.py"
"""The program's file name in tracebacks."""

_COLLECTIONS = gc.get_stats()[2]["collections"] + 1
"""Collections of the oldest generation: those of the template, which collects after it has loaded this."""
_find_holder = re.compile("open|__del__|finalize|Writer|Handler|logging|exec|eval|__import__|import_module").search
"""Finds a word that a program has if its objects may do something at their end. Ending all objects takes time."""
# Looking up an attribute writes to the reference counts of the module and the name, and to a cache.
_set_handler, _INTERRUPT, _raise_interrupt = _signal.signal, _signal.SIGINT, _signal.default_int_handler
_count_callbacks = atexit._ncallbacks
_threads: dict[int, threading.Thread] = threading._active  # type: ignore[attr-defined]
_STREAMS: tuple[Any, ...] = (sys.__stdout__, sys.__stderr__)
_read_code: Callable[[BaseException], Any] = vars(SystemExit)["code"].__get__
_flush = operator.methodcaller("flush")
_exhaust = deque[object](maxlen=0).extend
_LOOKS_FOR_SOURCE = sys.version_info < (3, 13)
"""Whether the interpreter looks for the program's file in each folder of `sys.path`, once per line of a traceback."""
_AT_ONCE = 10
"""The stage of a program that ends after both streams are flushed."""


def become_program(
    rights: Rights,
    limits: list[tuple[int, tuple[int, int]]],
    start: Callable[[str], driver.Steps],
    source: memoryview,
    streams: tuple[int, int, int],
) -> None:
    """Make this process the program with this source; `start` returns what runs it."""
    try:
        give_up_rights(rights, limits, streams)
        become(start(str(source, "utf-8", "surrogatepass")))
    except BaseException:
        _exit(driver.BROKEN)


def give_up_rights(
    rights: Rights, limits: list[tuple[int, tuple[int, int]]], streams: tuple[int, int, int], kept: int = -1
) -> None:
    """Leave this process only its streams and its limits.

    After a fork every page that is written to is copied, and counting a reference writes. So this is short, looks up few
    attributes, and as much as possible is done before the fork.

    `streams` become the standard streams, and `kept`, unless -1, becomes descriptor 3. All other descriptors are closed.
    """
    in_namespaces, ruleset, switches_user, reads_all, calls, started = rights
    stdin, stdout, stderr = streams
    dup2(stdin, 0)
    dup2(stdout, 1)
    dup2(stderr, 2)
    if not in_namespaces:
        setsid()
        kernel.die_with_parent(signal.SIGKILL)
        if ruleset >= 0:
            kernel.restrict_files(ruleset)
    _set_handler(_INTERRUPT, _raise_interrupt)
    for kind, values in limits:
        setrlimit(kind, values)
    if switches_user:
        # From root of the namespace to another user: this drops all capabilities (capabilities(7)).
        setresuid(PROGRAM_USER, PROGRAM_USER, PROGRAM_USER)
    elif not reads_all:
        kernel.drop_capabilities()
    if calls:
        kernel.restrict_calls(calls)
    # From here on it is the program's fault if this process ends.
    eventfd_write(started, 1)
    first = 3
    if kept >= 0:
        dup2(kept, 3)
        first = 4
    closerange(first, 1 << 16)


class Program:
    """The actions of a program: run it, then end as the interpreter does.

    A worker makes it before it forks; in a program's process as little as possible is created or called for the first time.

    Args:
        names: What its `__main__` begins with, besides what every module has.
        file: The path of the program, which is in no file.
    """

    def __init__(self, names: Mapping[str, Any], file: str) -> None:
        self._stage = self._status = 0
        self._is_running = True
        self._raised: list[BaseException] = []
        self._code = ""
        self._source = _Source()
        self._main = make_main(self._source, file)
        self._names = self._main.__dict__
        self._names.update(names)
        self._held = [self._main]
        self._path: list[Any] | None = None
        """`sys.path`, while it is empty."""

    def start(self, code: str) -> Program:
        """Return this, to run the code."""
        self._code = self._source.code = code
        sys.modules["__main__"] = self._main
        return self

    def next(self) -> Action | None:
        """Return the next action. This is flat because every function has pages of its own."""
        self._stage = stage = self._stage + 1
        if stage == 1:
            try:
                # Without a mark, which an editor on Windows puts before the source.
                code = compile(self._code.removeprefix("\ufeff"), NAME, "exec", dont_inherit=True)
            except BaseException as error:
                self._raised.append(error.with_traceback(None))
                return None
            return partial(exec, code, self._names)
        if stage == 2:
            self._is_running = False
            return self._report() if self._raised else None
        if stage == 3:
            if self._path is not None:
                sys.path = self._path
            if len(_threads) > 1:
                return threading._shutdown  # type: ignore[attr-defined, no-any-return]
            if not _count_callbacks() and (action := self._flush_both()) is not None:
                self._stage = _AT_ONCE
                return action
            return None
        if stage == 4:
            return atexit._run_exitfuncs if _count_callbacks() else None
        if stage in (5, 8):
            return flush("stdout")
        if stage == 6:
            if not _find_holder(self._code):
                self._stage = 8
                return None
            # Objects may print at their end, and files may hold output.
            del self._main, self._names
            sys.modules.pop("__main__", None)
            return self._held.clear
        if stage == 7:
            # The oldest generation is empty after a short program. Collecting it frees what the interpreter keeps for later,
            # of which every page would be copied.
            is_short = gc.get_count()[2] == 0 and gc.get_stats()[2]["collections"] == _COLLECTIONS
            return partial(gc.collect, 1 if is_short else 2)
        if stage == 9:
            return flush("stderr")
        if stage == 10:
            for stream in _STREAMS:
                with contextlib.suppress(BaseException):  # closed or detached
                    stream.flush()
        _exit(self._status)

    def failed(self, error: BaseException | None) -> None:
        """Take what an action raised."""
        if not self._is_running:
            self._status = self._status or 120  # as if a stream could not be flushed
            if self._stage == _AT_ONCE:
                self._stage = 8  # the other stream can
        elif error is None:
            self._status = 1
        else:
            self._raised.append(error)

    def _flush_both(self) -> Action | None:
        """Return the action that flushes both streams, if nothing else happens before the process ends."""
        if _find_holder(self._code):
            return None
        streams = getattr(sys, "stdout", None), getattr(sys, "stderr", None)
        are_own = streams[0] is _STREAMS[0] and streams[1] is _STREAMS[1]
        if not are_own or flush("stdout") is None or flush("stderr") is None:
            return None
        return partial(_exhaust, map(_flush, _STREAMS))

    def _report(self) -> Action | None:
        error = self._raised.pop()
        if issubclass(type(error), SystemExit):
            self._status, action = read_status(error)
            return action
        self._status = 1
        if _LOOKS_FOR_SOURCE and sys.excepthook is sys.__excepthook__ and len(_threads) == 1:
            self._path, sys.path = sys.path, []
        return report(error)


class Runner(Program):
    """The steps of a runner: those that its `start` returns, or one call of its `main`. It ends like a program."""

    def __init__(self, runner: ModuleType, task: str) -> None:
        super().__init__({}, NAME)
        self._steps = runner.start(task) if hasattr(runner, "start") else None
        self._once = partial(runner.main, task)

    def next(self) -> Action | None:
        if self._stage:
            return super().next()
        action: Action | None = self._once
        if self._steps is not None:
            action = self._steps.next()
        if action is None or self._steps is None:
            self._stage = 1
        return action

    def failed(self, error: BaseException | None) -> None:
        if self._stage == 0 and self._steps is not None:
            self._steps.failed(error)
        else:
            super().failed(error)


class _Source:
    """Gives `inspect` and `linecache` the source of the program, which is in no file."""

    code = ""

    def get_source(self, name: str) -> str:
        """Return the source."""
        return self.code


def make_main(source: _Source | None = None, file: str = NAME) -> ModuleType:
    """Install and return an empty `__main__`, as for `python main.py`."""
    module = sys.modules["__main__"] = ModuleType("__main__")
    module.__dict__.update(__builtins__=__builtins__, __file__=file, __loader__=source or _Source(), __cached__=None)
    sys.argv = [NAME]
    sys.orig_argv[:] = ["python", NAME]
    return module


def flush(name: str) -> Action | None:
    """Return the action that flushes a standard stream, if there is one and it is open."""
    stream = getattr(sys, name, None)
    try:
        # Only of the interpreter's own class: another class could have code of the program as `closed`.
        if stream is None or (type(stream) is TextIOWrapper and stream.closed):
            return None
    except ValueError:
        pass  # it is detached, and flushing it fails
    return partial(_flush, stream)


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
