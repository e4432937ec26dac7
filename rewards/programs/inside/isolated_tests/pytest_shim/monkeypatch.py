"""The fixture `monkeypatch`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

from rewards.programs.inside.isolated_tests.errors import Unsupported


class MonkeyPatch:
    """`setattr` and `setitem`, undone after the test. The program sees the changes too."""

    peer: Any = None
    """The connection to the program, set at collection."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], Any]] = []

    def setattr(self, target: Any, name: Any, value: Any = None, raising: bool = True) -> None:
        """Set an attribute of an object, or the target of a dotted name."""
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
            self.peer.ask("patch", target.__name__, name, value)

    def setitem(self, target: Any, key: Any, value: Any) -> None:
        """Set an item."""
        if target is os.environ:
            raise Unsupported("monkeypatch of the environment")
        existed, before = key in target, target.get(key)
        self._undo.append(lambda: target.__setitem__(key, before) if existed else target.__delitem__(key))
        target[key] = value

    def __getattr__(self, name: str) -> Any:
        raise Unsupported(f"monkeypatch.{name}")

    def undo(self) -> None:
        """Undo all changes."""
        while self._undo:
            self._undo.pop()()
