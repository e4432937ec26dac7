"""`pytest.mark`, `pytest.param`, `pytest.fixture` and the built-in fixtures."""

from __future__ import annotations

import inspect
import io
import os
import pathlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from rewards.programs.inside.isolated_tests.peer import Unsupported

_NO_EFFECT = {"timeout", "slow", "order", "unit", "integration", "filterwarnings", "usefixtures", "dependency", "run"}


class Mark:
    def __init__(self, name: str, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> None:
        self.name, self.args, self.kwargs = name, args, kwargs or {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and not kwargs and (inspect.isfunction(args[0]) or isinstance(args[0], type)):
            marked: Any = args[0]
            marked._marks = [*marked.__dict__.get("_marks", ()), self]
            return marked
        return Mark(self.name, args, kwargs)


class Marks:
    def __getattr__(self, name: str) -> Mark:
        if name not in {"parametrize", "skip", "skipif", "xfail", *_NO_EFFECT}:
            raise Unsupported(f"pytest.mark.{name}")
        return Mark(name)


mark = Marks()


class Parameters(NamedTuple):
    values: tuple[Any, ...]
    marks: list[Mark]


def param(*values: Any, id: Any = None, marks: Any = ()) -> Parameters:  # noqa: A002
    return Parameters(values, [marks] if isinstance(marks, Mark) else list(marks))


class Fixture(NamedTuple):
    function: Any
    autouse: bool
    name: str


def fixture(function: Any = None, *, scope: Any = "function", params: Any = None, autouse: bool = False, **other: Any) -> Any:
    """Declare a fixture. It is set up for every test, whatever its scope."""
    if params is not None:
        raise Unsupported("a fixture with params")

    def add(target: Any) -> Fixture:
        return Fixture(target, autouse, other.get("name") or target.__name__)

    return add if function is None else add(function)


class _Captured(NamedTuple):
    out: str
    err: str


class CapSys:
    """The output of the tests and the program."""

    def __init__(self) -> None:
        sys.stdout, sys.stderr = io.StringIO(), io.StringIO()

    def readouterr(self) -> _Captured:
        """Return and clear the captured output."""
        texts = _Captured(*(stream.getvalue() for stream in (sys.stdout, sys.stderr) if isinstance(stream, io.StringIO)))
        sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
        return texts


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
        if target is os.environ:
            raise Unsupported("monkeypatch of the environment")
        existed, before = key in target, target.get(key)
        self._undo.append(lambda: target.__setitem__(key, before) if existed else target.__delitem__(key))
        target[key] = value

    def __getattr__(self, name: str) -> Any:
        raise Unsupported(f"monkeypatch.{name}")

    def undo(self) -> None:
        while self._undo:
            self._undo.pop()()


def _monkeypatch() -> Iterator[MonkeyPatch]:
    patch = MonkeyPatch()
    yield patch
    patch.undo()


BUILT_IN = {
    "monkeypatch": Fixture(_monkeypatch, False, "monkeypatch"),
    "capsys": Fixture(CapSys, False, "capsys"),
    "tmp_path": Fixture(lambda: pathlib.Path(tempfile.mkdtemp()), False, "tmp_path"),
}
