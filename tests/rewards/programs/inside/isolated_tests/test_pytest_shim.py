"""Features of pytest that test modules use."""

from __future__ import annotations

import pytest

from rewards.errors import GroundTruthError
from tests.rewards.programs.inside.isolated_tests.running import run, run_module

STACK = """
class EmptyError(Exception):
    def __init__(self, size):
        super().__init__(f"empty: {size}")
        self.size = size
class Stack:
    LIMIT = 3
    def __init__(self, items=()): self.items = list(items)
    def push(self, x): self.items.append(x); return self
    def pop(self):
        if not self.items: raise EmptyError(0)
        return self.items.pop()
    def __len__(self): return len(self.items)
    def __iter__(self): return iter(self.items)
    def __contains__(self, x): return x in self.items
    def __getitem__(self, n): return self.items[n]
    def __eq__(self, other): return isinstance(other, Stack) and self.items == other.items
    def __add__(self, other): return Stack(self.items + list(other))
    def __enter__(self): return self
    def __exit__(self, *a): self.items.clear()
    def __repr__(self): return f"Stack({self.items})"
    @property
    def top(self): return self.items[-1]
def numbers():
    n = 0
    while True:
        yield n
        n += 1
def shout(text): print(text.upper())
def helper(): return 1
def use(): return helper() + 1
def mean(a): return sum(a) / len(a)
def ask(): return input("? ")
"""
MODULE = """
import itertools
import pytest
import solution
from solution import EmptyError, Stack, mean, numbers, shout

@pytest.fixture
def stack():
    made = Stack([1, 2])
    yield made
    made.items

@pytest.fixture(autouse=True)
def always():
    yield

class TestStack:
    def setup_method(self):
        self.empty = Stack()

    def test_operators(self, stack):
        assert len(stack) == 2 and list(stack) == [1, 2] and 1 in stack and 9 not in stack
        assert stack == Stack([1, 2]) and stack != Stack([1]) and stack != 5
        assert (stack + Stack([3])).items == [1, 2, 3]
        assert stack[0] == 1 and stack.top == 2 and repr(stack) == "Stack([1, 2])"
        assert isinstance(stack, Stack) and not isinstance(1, Stack) and Stack.LIMIT == 3

    def test_errors(self):
        with pytest.raises(EmptyError, match="empty: 0") as caught:
            self.empty.pop()
        assert caught.value.size == 0 and isinstance(caught.value, EmptyError)
        with pytest.raises(IndexError):
            self.empty[0]

    def test_chaining_and_context(self, stack):
        with stack as held:
            assert held is stack
            stack.push(3).push(4)
            assert stack.items == [1, 2, 3, 4]
        assert not stack.items

@pytest.mark.parametrize("b", [1, 2], ids=["one", "two"])
@pytest.mark.parametrize("a, wanted", [([1, 2], 1.5), pytest.param([1, 1, 1.1], 1.0333333, id="x")])
def test_mean(a, wanted, b):
    assert mean(a) == pytest.approx(wanted) and [mean(a), b] == pytest.approx([wanted, b])
    assert {"m": mean(a)} == pytest.approx({"m": wanted}) and mean(a) != pytest.approx(wanted + 1)

def test_generator():
    assert list(itertools.islice(numbers(), 3)) == [0, 1, 2]

def test_output(capsys):
    shout("hello")
    assert capsys.readouterr().out == "HELLO\\n"

def test_patch(monkeypatch):
    monkeypatch.setattr(solution, "helper", lambda: 10)
    assert solution.use() == 11

def test_patch_is_undone():
    assert solution.use() == 2

def test_input(monkeypatch):
    monkeypatch.setattr("builtins.input", lambda prompt="": "typed")
    assert solution.ask() == "typed"

@pytest.mark.skip(reason="never")
def test_skipped():
    assert False

@pytest.mark.skipif(True, reason="never")
def test_skipped_too():
    assert False

def test_of_nothing():
    assert True
"""


def test_module() -> None:
    # 3 methods, 4 parameter sets, 5 functions. Skipped tests and the one that does not use the program do not count.
    assert run_module(STACK, MODULE) == [True] * 12
    broken = STACK.replace("sum(a) / len(a)", "sum(a)").replace("upper", "lower").replace("return helper() + 1", "return 2")
    assert run_module(broken, MODULE) == [True, True, True, False, False, False, False, True, False, False, True, True]


def test_program_may_be_a_built_in_function() -> None:
    module = "from solution import f\ndef test_a():\n    x = '5'\n    assert f(x) == 5\n"
    assert run_module("f = int", module) == [True]
    assert run_module("f = str", module) == [False]


def test_attribute_names_and_generators() -> None:
    code = "class A:\n    def __init__(self): self._name, self._kind, self._peer = 1, 2, 3\ndef g():\n    yield 1\n"
    module = "import types\nfrom solution import A, g\ndef test_a():\n    a = A()\n    a._base = 4\n"
    module += "    assert (a._name, a._kind, a._peer, a._base) == (1, 2, 3, 4)\ndef test_g():\n    x = g()\n"
    assert run_module(code, module + "    assert isinstance(x, types.GeneratorType) and list(x) == [1]\n") == [True, True]


def test_max_tests() -> None:
    assert run(STACK, "pytest", MODULE, most=4) == [True] * 4


def test_star_import_and_alias() -> None:
    module = "from solution import *\nimport solution as s\ndef test_a():\n    x = 3\n    assert f(x) == s.g(x) == 4\n"
    assert run_module("def f(x): return x + 1\ng = f", module) == [True]


def test_missing_name_fails_the_module() -> None:
    assert run_module("x = 1", MODULE) == [False]
    assert run_module("def other(: pass", MODULE) == [False]


@pytest.mark.parametrize(
    ("source", "what"),
    [
        ("import numpy\nfrom solution import f\ndef test_a(): assert f() == 1", "import numpy"),
        ("from unittest.mock import patch\nfrom solution import f\ndef test_a(): assert f() == 1", "import unittest.mock"),
        ("import pytest\nfrom solution import f\n@pytest.mark.asyncio\ndef test_a(): assert f() == 1", "pytest.mark.asyncio"),
        ("import pytest\nfrom solution import f\ndef test_a():\n    with pytest.warns(UserWarning): f()", "pytest.warns"),
        ("from solution import f\nasync def test_a(): assert f() == 1", "async"),
        ("from solution import f\ndef test_a(mocker): assert f() == 1", "the fixture mocker"),
    ],
)
def test_unsupported_feature_is_an_error(source: str, what: str) -> None:
    with pytest.raises(GroundTruthError, match=what):
        run_module("def f(): return 1", source)
