"""Tests of each kind, and tests that cannot start."""

from __future__ import annotations

import pytest

from rewards.errors import GroundTruthError
from tests.rewards.programs.inside.isolated_tests.running import run


def test_unsupported_tests_are_errors() -> None:
    with pytest.raises(GroundTruthError, match="a module as an argument"):
        run("def f(a): pass", "asserts", "import sys\ncandidate(sys)")
    with pytest.raises(GroundTruthError, match="the prelude fails: NameError"):
        run("def f(a): pass", "asserts", "candidate()", prelude="x")
    with pytest.raises(GroundTruthError, match="no test calls the program"):
        run("def f(a): pass", "asserts", "assert 1")


def test_check_of_many_statements_is_one_test() -> None:
    check = "def check(candidate):\n    for n in range(5):\n        assert candidate(n) == helper(n)"
    code = "def f(n):\n    return n * n"
    assert run(code, "check", "check(candidate)", helpers=check, prelude="def helper(n):\n    return n ** 2") == [True]
    assert run(
        "def f(n):\n    return n", "check", "check(candidate)", helpers=check, prelude="def helper(n):\n    return n ** 2"
    ) == [False]
