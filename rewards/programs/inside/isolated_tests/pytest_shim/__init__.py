"""What test modules use of pytest, for the tests' process: the module `pytest` there.

`raises`, `approx`, `fixture`, `skip`, `fail`, `mark.parametrize`, `mark.skip`, `mark.skipif`, `mark.xfail`, the fixtures
`monkeypatch`, `capsys` and `tmp_path`, and collecting: functions `test…` and classes `Test…`. A test that needs anything
else is told apart from one that fails.
"""

from __future__ import annotations

from typing import Any

from rewards.programs.inside.isolated_tests.errors import Unsupported
from rewards.programs.inside.isolated_tests.pytest_shim.approx import approx
from rewards.programs.inside.isolated_tests.pytest_shim.fixtures import CapSys, fixture
from rewards.programs.inside.isolated_tests.pytest_shim.marks import mark, param
from rewards.programs.inside.isolated_tests.pytest_shim.monkeypatch import MonkeyPatch
from rewards.programs.inside.isolated_tests.pytest_shim.outcomes import Exit, Skipped, fail, skip
from rewards.programs.inside.isolated_tests.pytest_shim.raises import ExceptionInfo, raises

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
