"""`pytest.mark`, `pytest.param`, `pytest.fixture` and the built-in fixtures."""

from __future__ import annotations

import importlib
import inspect
import io
import os
import pathlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from rewards.programs.inside.isolated_tests.peer import Unsupported
from rewards.programs.inside.isolated_tests.pytest_shim.support import MARKS, WITHOUT_EFFECT


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
        if name not in MARKS | WITHOUT_EFFECT:
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
    autouse: bool = False
    name: str = ""
    scope: str = "function"
    params: tuple[Any, ...] | None = None


def fixture(function: Any = None, *, scope: Any = "function", params: Any = None, autouse: bool = False, **other: Any) -> Any:
    """Declare a fixture."""

    def add(target: Any) -> Fixture:
        given = None if params is None else tuple(each.values[0] if isinstance(each, Parameters) else each for each in params)
        return Fixture(target, autouse, other.get("name") or target.__name__, str(scope), given)

    return add if function is None else add(function)


class Request:
    """The fixture `request` of another fixture, or of a test."""

    def __init__(self, test: Any, param: Any = None) -> None:
        self.param, self.function, self.cls, self.instance = param, test.function, test.owner, test.instance
        self.addfinalizer: Callable[..., Any] = test.stack.callback
        self.getfixturevalue: Callable[[str], Any] = test.resolve


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


_NOTHING = object()


class MonkeyPatch:
    """Changes that are undone after the test. The program sees them too."""

    peer: Any = None
    """The connection to the program, set at collection."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], Any]] = []

    def setattr(self, target: Any, name: Any, value: Any = _NOTHING, raising: bool = True) -> None:
        """Set an attribute of an object, or the target of a dotted name."""
        if value is _NOTHING:
            value, (target, _, name) = name, target.rpartition(".")
            target = _find(target)
        if _is_library(target):
            self.peer.ask("patch", target.__name__, name, value)
            self._undo.append(lambda: self.peer.ask("unpatch", target.__name__, name))
        before = getattr(target, name) if raising else getattr(target, name, _NOTHING)
        self._undo.append(lambda: delattr(target, name) if before is _NOTHING else setattr(target, name, before))
        setattr(target, name, value)

    def delattr(self, target: Any, name: str, raising: bool = True) -> None:
        if _is_library(target):
            raise Unsupported(f"monkeypatch.delattr of {target.__name__}")
        before = getattr(target, name)
        self._undo.append(lambda: setattr(target, name, before))
        delattr(target, name)

    def setitem(self, target: Any, key: Any, value: Any) -> None:
        if target is os.environ:
            self.setenv(key, value)
            return
        existed, before = key in target, target.get(key)
        self._undo.append(lambda: target.__setitem__(key, before) if existed else target.__delitem__(key))
        target[key] = value

    def delitem(self, target: Any, key: Any, raising: bool = True) -> None:
        if target is os.environ:
            self.delenv(key, raising)
        elif raising or key in target:
            before = target.pop(key)
            self._undo.append(lambda: target.__setitem__(key, before))

    def setenv(self, name: str, value: Any, prepend: str | None = None) -> None:
        before = os.environ.get(name)
        self._undo.append(lambda: self._set_variable(name, before))
        self._set_variable(name, f"{value}{prepend}{before}" if prepend and before else str(value))

    def delenv(self, name: str, raising: bool = True) -> None:
        if name not in os.environ and raising:
            raise KeyError(name)
        before = os.environ.get(name)
        self._undo.append(lambda: self._set_variable(name, before))
        self._set_variable(name, None)

    def _set_variable(self, name: str, value: str | None) -> None:
        self.peer.ask("environment", name, value)
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value

    def __getattr__(self, name: str) -> Any:
        raise Unsupported(f"monkeypatch.{name}")

    def undo(self) -> None:
        while self._undo:
            self._undo.pop()()


def _find(name: str) -> Any:
    """Return the module, or the object in a module, with a dotted name."""
    if name in sys.modules or "." not in name:
        return sys.modules.get(name) or importlib.import_module(name)
    owner, _, last = name.rpartition(".")
    return getattr(_find(owner), last)


def _is_library(target: Any) -> bool:
    return isinstance(target, type(sys)) and target.__name__ != "solution"


def _monkeypatch() -> Iterator[MonkeyPatch]:
    patch = MonkeyPatch()
    yield patch
    patch.undo()


BUILT_IN = {
    "monkeypatch": Fixture(_monkeypatch),
    "capsys": Fixture(CapSys),
    "tmp_path": Fixture(lambda: pathlib.Path(tempfile.mkdtemp())),
}
