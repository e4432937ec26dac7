"""`pytest.fixture` and the built-in fixtures."""

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
    """A fixture function."""

    def __init__(self, function: Any, autouse: bool, name: str) -> None:
        self.function, self.autouse, self.name = function, autouse, name


def fixture(function: Any = None, *, scope: Any = "function", params: Any = None, autouse: bool = False, **other: Any) -> Any:
    """Declare a fixture. It is set up for every test, whatever its scope."""
    if params is not None:
        raise Unsupported("a fixture with params")

    def add(target: Any) -> Fixture:
        return Fixture(target, autouse, other.get("name") or target.__name__)

    return add if function is None else add(function)


class CapSys:
    """The output of the tests and the program."""

    def __init__(self) -> None:
        sys.stdout, sys.stderr = io.StringIO(), io.StringIO()

    def readouterr(self) -> _Captured:
        """Return and clear the captured output."""
        texts = _Captured(stream.getvalue() for stream in (sys.stdout, sys.stderr) if isinstance(stream, io.StringIO))
        sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
        return texts


class _Captured(tuple):  # type: ignore[type-arg]
    out = property(lambda self: self[0])
    err = property(lambda self: self[1])


def _monkeypatch() -> Iterator[MonkeyPatch]:
    patch = MonkeyPatch()
    yield patch
    patch.undo()


def _request() -> None:
    raise Unsupported("the fixture request")


BUILT_IN = {
    "monkeypatch": Fixture(_monkeypatch, False, "monkeypatch"),
    "capsys": Fixture(CapSys, False, "capsys"),
    "tmp_path": Fixture(lambda: pathlib.Path(tempfile.mkdtemp()), False, "tmp_path"),
    "request": Fixture(_request, False, "request"),
}
