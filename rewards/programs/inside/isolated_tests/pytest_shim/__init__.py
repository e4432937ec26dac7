"""The module `pytest` in the tests' process.

Supports the names, marks and built-in fixtures in `support`, and the collection of functions `test…` and classes `Test…`.
Everything else raises `Unsupported`, so that such a test does not count as failed.
"""

from __future__ import annotations

from typing import Any

from rewards.programs.inside.isolated_tests.peer import Unsupported
from rewards.programs.inside.isolated_tests.pytest_shim.assertions import ExceptionInfo, approx, fail, raises, skip
from rewards.programs.inside.isolated_tests.pytest_shim.declarations import MonkeyPatch, fixture, mark, param
from rewards.programs.inside.isolated_tests.pytest_shim.declarations import Request as FixtureRequest

__all__ = ["ExceptionInfo", "FixtureRequest", "MonkeyPatch", "approx", "fail", "fixture", "mark", "param", "raises", "skip"]
__version__ = "8.0.0"


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise Unsupported(f"pytest.{name}")
