"""`pytest.fixture`, and the fixtures that need not be defined."""

from __future__ import annotations

import io
import pathlib
import sys
import tempfile
from collections.abc import Iterator
from typing import Any

from rewards.programs.inside.isolated_tests.errors import Unsupported
from rewards.programs.inside.isolated_tests.pytest_shim.monkeypatch import MonkeyPatch


class Fixture:
    """A function that makes what tests ask for by its name."""

    def __init__(self, function: Any, autouse: bool, name: str) -> None:
        self.function, self.autouse, self.name = function, autouse, name


def fixture(function: Any = None, *, scope: Any = "function", params: Any = None, autouse: bool = False, **other: Any) -> Any:
    """A fixture; made anew for every test, whatever its scope."""
    if params is not None:
        raise Unsupported("a fixture with params")

    def add(target: Any) -> Fixture:
        return Fixture(target, autouse, other.get("name") or target.__name__)

    return add if function is None else add(function)


class CapSys:
    """What was printed, by the tests and by the program."""

    def __init__(self) -> None:
        sys.stdout, sys.stderr = io.StringIO(), io.StringIO()

    def readouterr(self) -> _Captured:
        """What was printed since the last time."""
        texts = _Captured(stream.getvalue() for stream in (sys.stdout, sys.stderr) if isinstance(stream, io.StringIO))
        sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
        return texts


class _Captured(tuple):  # type: ignore[type-arg]
    out = property(lambda self: self[0])
    err = property(lambda self: self[1])


def _give_monkeypatch() -> Iterator[MonkeyPatch]:
    patch = MonkeyPatch()
    yield patch
    patch.undo()


def _give_path() -> pathlib.Path:
    return pathlib.Path(tempfile.mkdtemp())


def _add_finalizers() -> Iterator[Any]:
    raise Unsupported("the fixture request")
    yield


GIVEN = {
    "monkeypatch": Fixture(_give_monkeypatch, False, "monkeypatch"),
    "capsys": Fixture(CapSys, False, "capsys"),
    "tmp_path": Fixture(_give_path, False, "tmp_path"),
    "request": Fixture(_add_finalizers, False, "request"),
}
