"""Running tests of each kind, and telling of each whether it held."""

from __future__ import annotations

import builtins
import json
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rewards.programs.inside.isolated_tests import pytest_shim
from rewards.programs.inside.isolated_tests.built_ins import keep_built_ins
from rewards.programs.inside.isolated_tests.errors import Unsupported
from rewards.programs.inside.isolated_tests.modules import Solution
from rewards.programs.inside.isolated_tests.pytest_shim.collection import collect

if TYPE_CHECKING:
    from rewards.programs.inside.isolated_tests.tests_process import Judge

keep_built_ins(globals())


class Reports:
    """The way out for verdicts."""

    def __init__(self, channel: int, token: str) -> None:
        self._channel, self._token = channel, token

    def write(self, **report: Any) -> None:
        os.write(self._channel, (json.dumps({**report, "token": self._token}) + "\n").encode())


def run_statements(judge: Judge, reports: Reports, task: dict[str, Any], scope: dict[str, Any]) -> None:
    """Runs assertions, or a check, on `candidate`."""
    tests = [compile(source, "<test>", "exec", dont_inherit=True) for source in task["sources"]]
    helpers = compile(task["helpers"], "<tests>", "exec", dont_inherit=True)
    reports.write(total=len(tests))

    def candidate(*args: Any, **kwargs: Any) -> Any:
        return judge.ask("entry", args, kwargs)

    scope["candidate"] = candidate
    names = set(judge.ask("names"))
    for code in (*tests, helpers):
        for name in _find_names(code) & names - scope.keys() - builtins.__dict__.keys():
            scope[name] = judge.name(name)
    exec(helpers, scope)
    for number, code in enumerate(tests):
        _run_one(judge, reports, number, lambda code=code: exec(code, {**scope}))  # type: ignore[misc]


def run_pytest(judge: Judge, reports: Reports, task: dict[str, Any], scope: dict[str, Any]) -> None:
    """Runs a test module."""
    sys.modules["solution"] = Solution(judge)
    sys.modules["pytest"] = pytest_shim
    tests = collect(task["sources"][0], scope, judge)[: task["max_tests"]]
    reports.write(total=len(tests))
    for number, test in enumerate(tests):
        _run_one(judge, reports, number, test)


def _run_one(judge: Judge, reports: Reports, number: int, test: Callable[[], None]) -> None:
    """Runs a test and reports: it held, it did not, or it never turned to the candidate."""
    before = judge.asked
    try:
        test()
        held = True
    except Unsupported:
        raise
    except BaseException:
        held = False
    idle = held and judge.asked == before
    reports.write(i=number, ok=None if idle else held and not judge.gone)


def _find_names(code: Any) -> set[str]:
    names = set(code.co_names)
    for each in code.co_consts:
        if isinstance(each, type(code)):
            names |= _find_names(each)
    return names
