"""Run the tests of each kind and report whether they pass."""

from __future__ import annotations

import ast
import builtins
import json
import os
import sys
from collections.abc import Callable
from typing import Any

from rewards.programs.inside.isolated_tests import pytest_shim
from rewards.programs.inside.isolated_tests.peer import Unsupported
from rewards.programs.inside.isolated_tests.plain import pack
from rewards.programs.inside.isolated_tests.pytest_shim.collection import collect
from rewards.programs.inside.isolated_tests.rewriting import FUNCTIONS, compile_tests, forward_library
from rewards.programs.inside.isolated_tests.tests_process import Solution, TestsPeer

Report = Callable[..., None]


def write_report(channel: int, token: str, **report: Any) -> None:
    """Write a report with the token of the verdicts."""
    os.write(channel, (json.dumps({**report, "token": token}) + "\n").encode())


def run_statements(peer: TestsPeer, report: Report, task: dict[str, Any], scope: dict[str, Any]) -> None:
    tests = [compile_tests(source, "<test>") for source in task["sources"]]
    helpers = compile_tests(task["helpers"], "<tests>")
    report(total=len(tests))
    forward_library(scope)
    scope.update(FUNCTIONS)

    def candidate(*args: Any, **kwargs: Any) -> Any:
        return peer.ask("entry", args, kwargs)

    scope["candidate"] = candidate
    names = set(peer.ask("names"))
    for code in (*tests, helpers):
        for name in _find_names(code) & names - scope.keys() - builtins.__dict__.keys():
            scope[name] = peer.name(name)
    exec(helpers, scope)
    for number, code in enumerate(tests):
        _run_one(peer, report, number, lambda code=code: exec(code, {**scope}))  # type: ignore[misc]


def run_pytest(peer: TestsPeer, report: Report, task: dict[str, Any], scope: dict[str, Any]) -> None:
    sys.modules["solution"] = Solution(peer)
    sys.modules["pytest"] = pytest_shim
    forward_library(scope)
    scope.update(FUNCTIONS)
    tests = collect(task["sources"][0], scope, peer)[: task["max_tests"]]
    report(total=len(tests))
    for number, test in enumerate(tests):
        _run_one(peer, report, number, test)


def run_calls(peer: TestsPeer, report: Report, task: dict[str, Any], scope: dict[str, Any]) -> None:
    """Report the results of calls instead of verdicts."""
    for number, source in enumerate(task["sources"]):
        call = json.loads(source)
        args, kwargs = ast.literal_eval(call) if isinstance(call, str) else call
        try:
            report(i=number, v=pack(peer.ask("entry", args, kwargs)))
        except Unsupported:
            raise
        except BaseException as error:
            report(i=number, e=f"{type(error).__name__}: {error}"[:300])


def _run_one(peer: TestsPeer, report: Report, number: int, test: Callable[[], None]) -> None:
    """Run a test and report whether it passed, or null if it never used the candidate."""
    before = peer.asked
    try:
        test()
        passed = True
    except Unsupported:
        raise
    except BaseException:
        passed = False
    unused = passed and peer.asked == before
    report(i=number, ok=None if unused else passed and not peer.gone)


def _find_names(code: Any) -> set[str]:
    names = set(code.co_names)
    for each in code.co_consts:
        if isinstance(each, type(code)):
            names |= _find_names(each)
    return names


RUN: dict[str, Callable[..., None]] = {
    "asserts": run_statements,
    "check": run_statements,
    "pytest": run_pytest,
    "calls": run_calls,
}
