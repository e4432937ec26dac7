"""The steps of a task: load the program, then call its function once per call."""

from __future__ import annotations

import ast
import json
import operator
import os
import sys
from functools import partial

from rewards.programs.inside.calls.names import NAMES
from rewards.programs.inside.calls.values import pack

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would slow down every run
    from collections.abc import Callable
    from typing import Any

_LONGEST = 8_000_000


def main(text: str) -> None:
    """Do what `start` returns, in order."""
    steps = start(text)
    while (action := steps.next()) is not None:
        try:
            action()
        except BaseException as error:
            steps.failed(error)


def start(text: str) -> Calls:
    """Return the steps of a task. The standard streams are closed for the program."""
    return Calls(json.loads(text))


class Calls:
    """Loads a program, calls its function, and reports each result.

    Whatever may run the program's code is an action: its functions, its `__str__`, and the modules that it can patch.
    """

    def __init__(self, task: dict[str, Any]) -> None:
        self._task = task
        self._channel = os.dup(1)
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(nothing, number)
        sys.argv = ["main.py"]
        self._number = -1
        self._is_describing = False
        self._scope = _make_module("prelude")
        self._namespace = _make_module("solution")
        owner, dot, self._name = task["function"].rpartition("().")
        self._owner = owner if dot else ""
        self._got: list[Any] = []
        """The result of the last action."""
        self._rest: list[Callable[[], Callable[[], object] | None]] = [self._run_prelude, self._run_code]
        for number in range(len(task["calls"])):
            self._rest += [partial(self._begin, number), self._find, self._call, self._pack, self._write]

    def next(self) -> Callable[[], object] | None:
        """Return the next action, None after the last."""
        while self._rest:
            try:
                action = self._rest.pop(0)()
            except BaseException as error:
                self.failed(error)
            else:
                if action is not None:
                    return action
        return None

    def failed(self, error: BaseException | None) -> None:
        """Report what the program, or the call, raised. The rest of the call is left out, or everything."""
        if self._is_describing:
            self._got = []
            return
        self._is_describing = True
        while self._rest and (self._number < 0 or type(self._rest[0]) is not partial):
            self._rest.pop(0)
        name = "" if error is None else _get_name(type(error))
        self._rest[:0] = [partial(self._describe, error), partial(self._pack_error, name), self._write]

    def _run_prelude(self) -> Callable[[], object] | None:
        prelude = self._task["prelude"]
        if prelude is None:
            self._scope.update(NAMES)
            return None
        return partial(exec, compile(prelude, "<prelude>", "exec", dont_inherit=True), self._scope)

    def _run_code(self) -> Callable[[], object]:
        # The program must define what is tested: the graders' `from math import *` must not provide `factorial`.
        tested = self._task["tested"]
        given = {name: value for name, value in self._scope.items() if not name.startswith("__") and name not in tested}
        self._namespace.update(given)
        code = self._task["code"].removeprefix("\ufeff")
        return partial(exec, compile(code, "<solution>", "exec", dont_inherit=True), self._namespace)

    def _begin(self, number: int) -> Callable[[], object] | None:
        """Get the function, or make the object that has it."""
        self._number, self._is_describing = number, False
        namespace, name = self._namespace, self._name
        if not self._owner and (name in namespace or "Solution" not in namespace):
            self._got = [namespace[name]]
            return None
        return self._get(namespace[self._owner or "Solution"])

    def _find(self) -> Callable[[], object] | None:
        is_function = not self._owner and (self._name in self._namespace or "Solution" not in self._namespace)
        return None if is_function else self._get(partial(getattr, self._got[0], self._name))

    def _call(self) -> Callable[[], object]:
        call = self._task["calls"][self._number]
        args, kwargs = ast.literal_eval(call) if isinstance(call, str) else call
        return self._get(partial(self._got[0], *args, **kwargs))

    def _pack(self) -> Callable[[], object]:
        return self._get(partial(_dumps, {"i": self._number, "v": pack(self._got[0])}))

    def _write(self) -> Callable[[], object]:
        (text,) = self._got
        if type(text) is not str or len(text) > _LONGEST:
            raise ValueError("the value is too long")
        return partial(_write, self._channel, f"{text}\n".encode())

    def _describe(self, error: BaseException | None) -> Callable[[], object]:
        self._got = []
        return self._get(partial(str, error)) if error is not None else int

    def _pack_error(self, name: str) -> Callable[[], object]:
        text = str.__getitem__(self._got[0], slice(300)) if self._got else "an exception whose text cannot be read"
        return self._get(partial(_dumps, {"i": self._number, "e": f"{name}: {text}"}))

    def _get(self, function: Callable[[], object]) -> Callable[[], object]:
        """Return an action that keeps the result of `function`."""
        self._got = []
        return partial(self._got.extend, map(operator.call, (function,)))


_dumps, _write = json.dumps, os.write
_get_name = type.__dict__["__name__"].__get__


def _make_module(name: str) -> dict[str, Any]:
    module = type(sys)(name)
    sys.modules[name] = module
    return module.__dict__
