"""The holder: the process that holds a session's variables. It has no rights, because untrusted code has run in it."""

from __future__ import annotations

import ast
import linecache
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

from rewards.sandbox.local.inside import child, driver, messages
from rewards.sandbox.local.inside.driver import Action

_CHANNEL = 3
"""The descriptor of the connection to the worker."""
START = b"s"
"""What the process of a call sends before it runs the code."""


class Holder:
    """Runs the calls that arrive on descriptor 3.

    If `forks`, each call runs in a child, which replaces this process as the holder if the worker accepts it. Otherwise calls
    run in this process.
    """

    def __init__(self, *, forks: bool) -> None:
        self._forks = forks
        self._channel = socket.socket(fileno=_CHANNEL)
        self._module = child.make_main()
        self._number = 0
        self._report_to = self._channel
        self._rest: list[Callable[[], Action | None]] = []
        self._call: _Call

    def next(self) -> Action | None:
        """Return the next action of a call; receive a call when the last one has ended."""
        if not self._rest:
            self._receive()
        return self._rest.pop(0)() if self._rest else None

    def failed(self, error: BaseException | None) -> None:
        """Take what the call raised."""
        self._call.failed(error)

    def _receive(self) -> None:
        descriptors = socket.recv_fds(self._channel, 1, 4)[1]
        task = messages.receive_json(self._channel) if len(descriptors) == 4 else None
        if task is None:
            os._exit(0)
        self._number += 1
        if self._forks and os.fork() != 0:
            for descriptor in descriptors:
                os.close(descriptor)
            return
        for stream in range(3):
            os.dup2(descriptors[stream], stream)
        if self._forks:
            os.dup2(descriptors[3], _CHANNEL)
            os.closerange(_CHANNEL + 1, 1 << 16)
        else:
            os.dup2(descriptors[3], _CHANNEL + 1)
            os.closerange(_CHANNEL + 2, 1 << 16)
            self._report_to = socket.socket(fileno=_CHANNEL + 1)
        self._report_to.sendall(START)
        self._call = _Call(self._module.__dict__, task, f"call {self._number}")
        self._rest = [*self._call.steps, self._report]

    def _report(self) -> None:
        if not self._forks:
            for stream in range(3):
                os.dup2(os.open(os.devnull, os.O_RDWR), stream)
        self._report_to.sendall(messages.pack_json(self._call.describe()))
        if not self._forks:
            self._report_to.close()
            os.closerange(_CHANNEL + 1, 1 << 16)


class _Call:
    """The actions of one call: its code, the value of its last expression, and that value's `repr`."""

    def __init__(self, variables: dict[str, Any], task: dict[str, Any], name: str) -> None:
        self.steps = [self._run, self._evaluate, self._show, self._print_error, self._flush_output, self._flush_errors]
        self._variables, self._name = variables, name
        self._code: str = task["code"]
        self._characters: int = task["value_characters"]
        self._begun = time.process_time()
        self._last: ast.Expr | None = None
        self._values: list[Any] = []
        self._texts: list[str] = []
        self._raised: BaseException | None = None
        self._is_ended = False
        self._verdict, self._status = "ok", 0

    def failed(self, error: BaseException | None) -> None:
        """Take what an action raised."""
        if self._is_ended:
            return  # its last output cannot be written
        self._is_ended, self._verdict, self._status = True, "error", 1
        self._raised = error
        if error is not None and issubclass(type(error), MemoryError):
            self._verdict = "memory"

    def describe(self) -> dict[str, Any]:
        """Return the report of the call."""
        value = str.__getitem__(self._texts[0], slice(self._characters)) if self._texts else None
        seconds = time.process_time() - self._begun
        return {"verdict": self._verdict, "status": self._status, "value": value, "cpu_seconds": seconds}

    def _run(self) -> Action | None:
        code, name = self._code, self._name
        # A function of an earlier call may raise in a later one, so each call keeps its source under a unique name.
        linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
        try:
            body = ast.parse(code.removeprefix("\ufeff"), name)
            if body.body and isinstance(last := body.body[-1], ast.Expr):
                self._last = last
                body.body.pop()
            compiled = compile(body, name, "exec", dont_inherit=True)
        except BaseException as error:
            self.failed(error.with_traceback(None))
            return None
        return partial(exec, compiled, self._variables)

    def _evaluate(self) -> Action | None:
        if self._is_ended or self._last is None:
            return None
        try:
            compiled = compile(ast.Expression(self._last.value), self._name, "eval", dont_inherit=True)
        except BaseException as error:
            self.failed(error.with_traceback(None))
            return None
        return driver.capture(self._values, partial(eval, compiled, self._variables))

    def _show(self) -> Action | None:
        if self._is_ended or not self._values or self._values[0] is None:
            return None
        self._variables["_"] = self._values[0]
        return driver.capture(self._texts, partial(repr, self._values[0]))

    def _print_error(self) -> Action | None:
        error, self._raised = self._raised, None
        self._is_ended = True
        if error is None:
            return None
        if issubclass(type(error), SystemExit):
            self._status, action = child.read_status(error)
            self._verdict = "ok" if self._status == 0 else "error"
            return action
        # The program may have replaced it.
        return partial(traceback.print_exception, type(error), error, error.__traceback__, file=sys.__stderr__)

    def _flush_output(self) -> Action | None:
        return child.flush("stdout")

    def _flush_errors(self) -> Action | None:
        return child.flush("stderr")
