"""The fixture `monkeypatch`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from rewards.programs.inside.isolated_tests.errors import Unsupported


class MonkeyPatch:
    """`setattr`, `setitem`, `setenv` and their opposites, undone at the test's end; the program sees them too."""

    judge: Any = None
    """Who tells the program of it; set when tests are collected."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], Any]] = []

    def setattr(self, target: Any, name: Any, value: Any = None, raising: bool = True) -> None:
        """Sets an attribute of an object, or what a dotted name says."""
        if isinstance(target, str):
            value, (target, _, name) = name, target.rpartition(".")
            target = sys.modules.get(target) or __import__(target, fromlist=["_"])
        if target is sys and name in ("stdin", "argv"):
            raise Unsupported(f"monkeypatch of sys.{name}")
        before = getattr(target, name)
        self._undo.append(lambda: self._set(target, name, before))
        self._set(target, name, value)

    def _set(self, target: Any, name: str, value: Any) -> None:
        setattr(target, name, value)
        if isinstance(target, type(sys)) and target.__name__ != "solution":
            self.judge.ask("patch", target.__name__, name, value)

    def setitem(self, target: Any, key: Any, value: Any) -> None:
        """Sets an item."""
        if target is os.environ:
            raise Unsupported("monkeypatch of the environment")
        held, before = key in target, target.get(key)
        self._undo.append(lambda: target.__setitem__(key, before) if held else target.__delitem__(key))
        target[key] = value

    def __getattr__(self, name: str) -> Any:
        raise Unsupported(f"monkeypatch.{name}")

    def undo(self) -> None:
        """Sets everything back."""
        while self._undo:
            self._undo.pop()()
