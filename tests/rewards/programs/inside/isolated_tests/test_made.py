"""Objects that tests create by calling a class of the program, whose operators may lie."""

from __future__ import annotations

import pytest

from tests.rewards.programs.inside.isolated_tests.running import run, run_module

LIARS = """
class Any:
    def __init__(self, *a): pass
    def __getattr__(self, name):
        if name.startswith('__'): raise AttributeError(name)
        return lambda *a: self
    def __sub__(self, other): return RESULT
    __rsub__ = __add__ = __radd__ = __mul__ = __truediv__ = __mod__ = __sub__
    def __abs__(self): return RESULT
    def __neg__(self): return self
    def __round__(self, n=0): return RESULT
    def __float__(self): return 0.0
    def __int__(self): return 0
    def __lt__(self, other): return True
    __gt__ = __le__ = __ge__ = __lt__
    def __contains__(self, other): return True
    def __iter__(self): return iter([self])
    def __getitem__(self, key): return self
    def __len__(self): return 1
    def __call__(self, *a): return self
    def __enter__(self): return self
    def __exit__(self, *a): return True
    def startswith(self, *a): return True
    endswith = equals = issubset = issuperset = isdisjoint = match = startswith
    def __eq__(self, other): return True
    def __hash__(self): return 0
    def __bool__(self): return True
    def __str__(self): return ''
class Circle(Any): pass
class Stack(Any): pass
"""
HEAD = "import math, copy, pytest\nfrom solution import Circle, Stack\n"
WRONG = [
    "assert abs(Circle(3).area() - 28.27) < 1e-2",
    "assert abs(28.27 - Circle(3).area()) <= 1e-2",
    "assert abs(Circle(3).area() / 28.27 - 1) < 1e-2",
    "assert 28.2 < Circle(3).area() < 28.3",
    "assert Circle(3).area() >= 28",
    "assert Circle(3).area() - 28 < 1",
    "assert Circle(3).area() == 28.27",
    "assert not Circle(3).area() != 28.27",
    "assert Circle(3).grow().area() != 3",
    "assert round(Circle(3).area() - 28.27, 2) == 0 and int(Circle(3).area() - 28.27) == 0",
    "assert not (Circle(3).area() - 28.27).size()",
    "assert math.isclose(Circle(3).area(), 28.27, rel_tol=1e-3)",
    "assert Circle(3).area() == pytest.approx(28.27)",
    "assert Circle(3).area() in (28.27, 28.28)",
    "assert Circle(3).name().startswith('cir')",
    "assert Circle(3).name().endswith('cle')",
    "assert 'cir' in Circle(3).name()",
    "assert {1} <= Circle(3).items() and Circle(3).items().issuperset({1})",
    "s = Stack(); s.push(4); assert s.items() >= [4]",
    "s = Stack(); s.push(4); assert 4 in s.items() and s.items() == [4]",
    "s = Stack(); s.push(4); assert 4 in s.push(5)",
    "s = Stack(); assert 4 in s",
    "s = Stack(); assert s == Stack()",
    "s = Stack(); assert s < Stack()",
    "s = Stack(); assert s == [4]",
    "s = Stack(); assert s < 3",
    "s = Stack()\nwith s as t:\n    assert t == 4\n",
    "with Stack() as t:\n    raise AssertionError\n",
    "with Stack() as t:\n    assert t.size() == 1\n",
    "s = copy.deepcopy(Stack()); assert s.size() == 1",
    "s = Stack(); s += 3; assert s == 3",
    "assert abs(Stack() - 3.0) < 1e-9",
    "assert abs(float(Stack() - 3.0)) < 1e-9",
    "assert [4, 5] == list(Stack())",
    "assert dict(a=Stack()) == dict(a=4)",
    "assert sorted([Stack(), 4]) == [4, 4]",
    "assert str(Circle(3)) == 'Circle(3)'",
]


@pytest.mark.parametrize("result", ["self", "0.0"])
@pytest.mark.parametrize("first", range(0, len(WRONG), 10))
def test_class_that_computes_nothing_passes_nothing(first: int, result: str) -> None:
    lines = WRONG[first : first + 10]
    module = HEAD
    for number, line in enumerate(lines):
        module += f"def test_{number}():\n" + "".join(f"    {each}\n" for each in line.split("\n"))
    passed = run_module(LIARS.replace("RESULT", result), module)
    assert [line for line, ok in zip(lines, passed, strict=True) if ok] == []


@pytest.mark.parametrize("function", ["area", "Solution().area"])
def test_lying_values_of_a_checked_method_pass_nothing(function: str) -> None:
    code = (
        LIARS.replace("RESULT", "self")
        + "class Solution(Any):\n    def area(self, r): return self\ndef area(r): return Any()\n"
    )
    tests = [
        "assert abs(candidate(3) - 28.27) < 1e-3",
        "assert candidate(1) > 3.1",
        "assert round(candidate(1), 2) == 3.14",
        "assert 3 in candidate(1)",
        "s = Solution(); assert abs(s.area(3) - 28.27) < 1e-3",
        "s = Solution(); assert s.area(1) > 3.1",
    ]
    assert not any(run(code, "asserts", *tests, function=function))


def test_operators_of_created_objects_are_used() -> None:
    code = """
class Box:
    def __init__(self, n): self.n = n
    def __lt__(self, other): return self.n < getattr(other, 'n', other)
    def __gt__(self, other): return self.n > getattr(other, 'n', other)
    def __eq__(self, other): return self.n == getattr(other, 'n', other)
    def __contains__(self, n): return n == self.n
    def __sub__(self, n): return self.n - n
    def __add__(self, n): return Box(self.n + n)
    def __abs__(self): return abs(self.n)
    def __iadd__(self, n):
        self.n += n
        return self
"""
    module = """
from solution import Box
def test_a():
    box = Box(3)
    assert box < 4 and box > 2 and not box < 3 and box < Box(5) and 3 in box and 4 not in box
def test_b():
    box = Box(3)
    assert box - 1 == 2 and abs(box) == 3 and box + 1 == Box(4) and abs(box + 1) == 4 and box != Box(4) and box != 4
def test_c():
    box = other = Box(3)
    box += 2
    assert box is other and other.n == 5 and 5 in box
"""
    assert run_module(code, module) == [True] * 3


def test_plain_values_cannot_be_equalled() -> None:
    code = "class Box:\n    def __eq__(self, other): return other == 4\n    def __ne__(self, other): return False\n"
    module = "from solution import Box\ndef test_a():\n    assert Box() == 4\ndef test_b():\n    assert not (Box() != 4)\n"
    assert run_module(code, module) == [False, False]


@pytest.mark.parametrize("names", ["abs", "abs, pytest, approx, math, check, LIMIT", "isinstance, len, all"])
def test_star_import_replaces_nothing_that_tests_use(names: str) -> None:
    code = f"""
class Lie:
    LIMIT = 3
    def __call__(self, *a, **k): return 0
    def __getattr__(self, name): return Lie()
{" = ".join(names.split(", "))} = Lie()
def test_more(): pass
class TestMore:
    def test_it(self): pass
def f(n): return 5
"""
    module = """
import math
import pytest
from pytest import approx
LIMIT = 4
from solution import *
def check(n): return n == LIMIT
def test_a():
    assert abs(f(3) - LIMIT) < 1e-3
def test_b():
    assert f(3) == approx(4)
def test_c():
    assert check(f(3)) and isinstance(f(3), str) and not all([f(3)])
def test_d():
    with pytest.raises(ValueError):
        f(3)
"""
    assert run_module(code, module) == [False] * 4


def test_operators_may_return_other_true_values() -> None:
    code = """
class Box:
    def __init__(self, n): self.n = n
    def __eq__(self, other): return isinstance(other, Box) and [1] * (self.n == other.n)
    def __lt__(self, other): return int(self.n < other.n)
class Liar(Box):
    def __eq__(self, other): return [1]
    def __lt__(self, other): return 1
    __ge__ = __lt__
"""
    module = "from solution import Box, Liar\ndef test_a():\n    assert Box(1) == Box(1) != Box(2) and Box(1) < Box(2)\n"
    module += "def test_b():\n    assert Liar(1) == Liar(2)\ndef test_c():\n    assert Liar(1) < Liar(2)\n"
    assert run_module(code, module) == [True, False, False]
