"""What test modules use of pytest, for the tests' process: the module `pytest` there.

`raises`, `approx`, `fixture`, `skip`, `fail`, `mark.parametrize`, `mark.skip`, `mark.skipif`, `mark.xfail`, the fixtures
`monkeypatch`, `capsys` and `tmp_path`, and collecting: functions `test…` and classes `Test…`. A test that needs anything
else is told apart from one that fails.
"""

from __future__ import annotations

from typing import Any

from rewards.inside.assertions.errors import Unsupported
from rewards.inside.assertions.stand_in.endings import Exit, Skipped, fail, skip
from rewards.inside.assertions.stand_in.fixtures import CapSys, fixture
from rewards.inside.assertions.stand_in.marks import mark, param
from rewards.inside.assertions.stand_in.monkeypatch import MonkeyPatch
from rewards.inside.assertions.stand_in.nearness import approx
from rewards.inside.assertions.stand_in.raising import ExceptionInfo, raises

__all__ = [
    "CapSys",
    "ExceptionInfo",
    "Exit",
    "MonkeyPatch",
    "Skipped",
    "approx",
    "fail",
    "fixture",
    "mark",
    "param",
    "raises",
    "skip",
]
__version__ = "8.0.0"


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise Unsupported(f"pytest.{name}")
