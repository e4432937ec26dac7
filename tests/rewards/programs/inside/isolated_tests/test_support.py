"""Features of test modules that are refused before any program runs."""

from __future__ import annotations

import ast
import json

import pytest

from rewards.errors import GroundTruthError
from rewards.programs.ground_truth import read_tests
from rewards.programs.inside.isolated_tests.pytest_shim.support import find_unsupported

HEAD = "import sys, os, builtins, pytest\nfrom solution import f\n"
REFUSED = {
    "from unittest.mock import patch\ndef test_a(): assert f() == f()": "import unittest.mock",
    "import threading\ndef test_a(): assert f() == f()": "import threading",
    "import pickle\ndef test_a(): assert pickle.loads(f()) == 1": "import pickle",
    "import doctest, solution\ndef test_a(): assert not doctest.testmod(solution).failed": "import doctest",
    "from . import other\ndef test_a(): assert f() == f()": "a relative import",
    "async def test_a(): assert f() == f()": "an async test",
    "@pytest.mark.asyncio\ndef test_a(): assert f() == f()": "pytest.mark.asyncio",
    "def test_a():\n    with pytest.warns(UserWarning): f()": "pytest.warns",
    "from pytest import warns\ndef test_a(): assert f() == f()": "pytest.warns",
    "def test_a(mocker): assert f() == f()": "the fixture mocker",
    "@pytest.fixture\ndef g(tmpdir): return 1\ndef test_a(g): assert f() == g": "the fixture tmpdir",
    "class TestA:\n    def test_a(self, caplog): assert f() == f()": "the fixture caplog",
    "def test_a(monkeypatch):\n    monkeypatch.chdir('/')\n    assert f() == f()": "monkeypatch.chdir",
    "def test_a():\n    exec(f())": "exec",
    "def test_a():\n    run = exec\n    run(f())": "exec",
    "def test_a():\n    builtins.eval(f())": "builtins.eval",
    "def test_a():\n    assert __import__(f())": "__import__",
    "def test_a():\n    sys.stdin = open('x')\n    assert f() == f()": "an assignment to sys.stdin",
    "def test_a():\n    os.getcwd = None\n    assert f() == f()": "an assignment to os.getcwd",
}
TAKEN = [
    "@pytest.fixture(name='g')\ndef make(request): return 1\ndef test_a(g, capsys): assert f() == g",
    "CASES = [(1, 2)]\n@pytest.mark.parametrize('a,b', CASES)\ndef test_a(a, b, tmp_path): assert f() == a + b",
    "@pytest.mark.parametrize(('a', 'b'), [(1, 2)])\ndef test_a(a, b, c=3): assert f() == a + b + c",
    "class TestA:\n    @pytest.fixture\n    def one(self): return 1\n    def test_a(self, one): assert f() == one",
    "def test_a():\n    old, sys.stdout = sys.stdout, None\n    sys.stdout = old\n    assert f() == old",
    "def test_a(monkeypatch):\n    monkeypatch.setattr(builtins, 'input', lambda: 1)\n    assert f() == eval('1')",
    "import re\ndef test_a():\n    assert re.compile(f()).match('a')",
]


@pytest.mark.parametrize("source", REFUSED)
def test_refused(source: str) -> None:
    assert find_unsupported(ast.parse(HEAD + source)) == REFUSED[source]
    with pytest.raises(GroundTruthError, match="which is not supported"):
        read_tests(json.dumps({"pytest": HEAD + source}), 10)


@pytest.mark.parametrize("source", TAKEN)
def test_taken(source: str) -> None:
    assert find_unsupported(ast.parse(HEAD + source)) == ""


def test_checks_that_run_text_are_refused() -> None:
    check = "def check(candidate):\n    exec(candidate())\n    assert candidate() == 1\ncheck(f)"
    with pytest.raises(GroundTruthError, match="exec"):
        read_tests(json.dumps({"functional": check}), 10)
