"""Run this process as a sequence of actions, each with no function of ours below it on the stack.

A program can find the functions that called it (`sys._getframe`) and, since Python 3.13 (PEP 667), change their local
variables. So no function of ours calls a program: a loop in C asks for the next action and calls it, after the function that
chose it has returned. The template, its workers and the programs are forked from the thread of this loop, so it is the main
thread of the workers and the programs.
"""

from __future__ import annotations

import _thread
import contextlib
import ctypes
import operator
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn, Protocol

Action = Callable[[], object]

BROKEN = 70
"""The exit status of a process whose own code failed (EX_SOFTWARE of sysexits.h)."""
CHILD_ENDS = (signal.SIGCHLD,)
"""Blocked in the thread that `run` starts, and so in what that forks."""
_STACK_BYTES = 128 << 20
"""Of the thread that runs programs: address space, of which a deep recursion uses what it needs."""


class Steps(Protocol):
    """What a process does."""

    def next(self) -> Action | None:
        """Return the next action, None for none yet. Ends the process when there is nothing left to do."""
        ...

    def failed(self, error: BaseException | None) -> None:
        """Take note that the last action raised; None: what it raised is not known."""
        ...


_steps: Steps
_all: list[Steps] = []
"""Keeps earlier steps: in a forked process, their sockets have the numbers of descriptors that are something else now."""
_keep = _all.append
_running = False
_succeeded: list[bool] = []
_mark_success, _clear_success = partial(_succeeded.append, True), _succeeded.clear
# Calls an action. What it raises goes to `sys.unraisablehook`, and the loop continues.
_guard = ctypes.PYFUNCTYPE(None, ctypes.py_object)(operator.call)
_GUARDED = "Exception ignored on calling ctypes callback function"
_call: Callable[[Any], object] = operator.call
_exhaust = deque[object](maxlen=0).extend


def run(steps: Steps) -> NoReturn:
    """Do what `steps` says, until it ends the process."""
    become(steps)
    sys.unraisablehook = _take_error
    threading.stack_size(_STACK_BYTES)
    # A program's trace functions would get the frames of what runs after it. `_guard` returns None, which is what removes them.
    loop = map(sys.setprofile, map(sys.settrace, map(_guard, iter(next_action, None))))
    # This thread handles signals. The end of a child goes to the thread that forked it first, which would not wake this one.
    signal.pthread_sigmask(signal.SIG_BLOCK, CHILD_ENDS)
    _thread.start_new_thread(deque, (loop, 0))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, CHILD_ENDS)
    threading.stack_size(0)
    while True:
        signal.pause()


def become(steps: Steps) -> None:
    """Do what `steps` says from now on, instead of the current steps."""
    global _steps  # noqa: PLW0603 (what this process is)
    _steps = steps
    _keep(steps)


def forget() -> None:
    """Forget all steps. They have not begun to run."""
    global _running  # noqa: PLW0603 (the state of the loop)
    _all.clear()
    _clear_success()
    _running = False


def capture(results: list[Any], action: Action) -> Action:
    """Return an action that appends the result of `action` to `results`."""
    return partial(results.extend, map(_call, (action,)))


def next_action() -> Action:
    """Return the next action, in the form that the loop calls."""
    global _running  # noqa: PLW0603 (the state of the loop)
    try:
        if _running and not _succeeded:
            _steps.failed(None)
        _clear_success()
        _running = False
        while (action := _steps.next()) is None:
            pass
        _running = True
        return partial(_exhaust, map(_call, (action, _mark_success)))
    except BaseException as error:
        # For example for lack of memory, which counts as the program's then.
        with contextlib.suppress(OSError):
            os.write(2, f"{type(error).__name__}\n".encode())
        os._exit(BROKEN)


def _take_error(args: Any) -> None:
    """Take what an action raised. Other exceptions that cannot be raised are printed as always."""
    if _running and args.err_msg and args.err_msg.startswith(_GUARDED) and not _has_caller():
        _mark_success()
        _steps.failed(args.exc_value)
    else:
        sys.__unraisablehook__(args)


def _has_caller() -> bool:
    try:
        sys._getframe(2)
    except ValueError:
        return False
    return True
