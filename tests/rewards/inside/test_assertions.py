"""The tests' process and the candidate's: what crosses between them, and what a test module may use."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rewards.candidate import Candidate, TestSource, run_tests
from rewards.errors import GroundTruthError
from rewards.sandbox import Limits


def _run(code: str, kind: str, *sources: str, function: str = "f", prelude: str = "", helpers: str = "", most: int = 99) -> Any:
    limits = Limits(cpu_seconds=3, wall_seconds=20)
    tests = TestSource(kind, sources, helpers)
    return asyncio.run(run_tests(Candidate(code, function, prelude), tests, limits, most))


def _pytest(code: str, source: str) -> list[bool]:
    verdicts: list[bool] = _run(code, "pytest", source)
    return verdicts


@pytest.mark.parametrize(
    "value",
    [
        "[1, 2.5, 'a', None, True]",
        "(1, (2, [3]), 'x')",
        "{1: [2], 'a': {3, 4}, (1, 2): frozenset({5})}",
        "float('inf')",
        "10 ** 5000",
        "'\\ud800 \\u20ac'",
        "b'\\x00\\xff'",
        "complex(1, float('-inf'))",
        "__import__('collections').deque([1, 2], 3)",
        "__import__('collections').Counter('aab')",
        "__import__('collections').OrderedDict([('b', 1), ('a', 2)])",
        "__import__('collections').defaultdict(list, {'a': [1]})",
        "__import__('datetime').datetime(2020, 1, 2, 3, 4, 5)",
        "__import__('fractions').Fraction(1, 3)",
        "__import__('decimal').Decimal('1.10')",
        "range(1, 10, 3)",
        "bytearray(b'ab')",
    ],
)
def test_plain_values_cross_as_they_are(value: str) -> None:
    same = f"v = candidate({value}); assert v == {value} and type(v) is type({value})"
    assert _run("def f(a):\n    return a", "asserts", same) == [True]


def test_sharing_and_cycles_are_kept() -> None:
    test = "a = [1]; a.append(a); b = candidate(a); assert b is a and b[1] is b"
    assert _run("def f(a):\n    return a", "asserts", test) == [True]
    assert _run(
        "def f():\n    a = {}\n    a['me'] = [a, a]\n    return a", "asserts", "v = candidate(); assert v['me'][1] is v"
    ) == [True]
    assert _run(
        "def f():\n    a = 0\n    for _ in range(50000):\n        a = [a]\n    return a", "asserts", "assert candidate()[0][0]"
    ) == [True]


@pytest.mark.parametrize(
    ("code", "test"),
    [
        ("def f(a):\n    a.sort()", "a = [3, 1]; candidate(a); assert a == [1, 3]"),
        ("def f(a):\n    a[0].append(a[1])", "a = [[], 1]; b = a[0]; candidate(a); assert b == [1] and a[0] is b"),
        ("def f(a):\n    a['x'] = {1}", "a = {}; candidate(a); assert a == {'x': {1}}"),
        ("def f(a):\n    a.clear()", "a = {1, 2}; candidate(a); assert not a"),
        ("def f(a):\n    a[:] = [True]", "a = [1]; candidate(a); assert a[0] is True"),
        ("def f(a):\n    a.next = Node(2)", "a = Node(1); candidate(a); assert a.next.val == 2 and type(a.next) is Node"),
        (
            "def f(a):\n    a.sort()\n    raise ValueError",
            "a = [3, 1]\ntry: candidate(a)\nexcept ValueError: assert a == [1, 3]",
        ),
    ],
)
def test_what_a_call_changes_in_its_arguments_is_seen(code: str, test: str) -> None:
    prelude = (
        "class Node:\n    __slots__ = ('val', 'next')\n    def __init__(self, v, n=None):\n        self.val, self.next = v, n"
    )
    assert _run(code, "asserts", test, prelude=prelude) == [True]


def test_classes_of_the_prelude_cross_by_value_also_where_the_program_defines_them_anew() -> None:
    prelude = "class Node:\n    def __init__(self, v, n=None):\n        self.v, self.n = v, n\n"
    test = "a = candidate(Node(1, Node(2))); assert type(a) is Node and (a.v, a.n.v, a.n.n) == (2, 1, None)"
    code = (
        "def f(a):\n    b = None\n    while a:\n        assert isinstance(a, Node)\n        a.n, b, a = b, a, a.n\n    return b"
    )
    assert _run(code, "asserts", test, prelude=prelude) == [True]
    assert _run(prelude + code, "asserts", test, prelude=prelude) == [True]


def test_an_attribute_cannot_replace_a_method_of_the_preludes_class() -> None:
    prelude = "class Node:\n    def same(self, v):\n        return self.v == v\n"
    code = "def f():\n    a = Node()\n    a.v = 1\n    a.same = lambda v: True\n    return a"
    assert _run(code, "asserts", "assert candidate().same(2)", prelude=prelude) == [False]


EQUAL = """
class A:
    def __eq__(self, other): return True
    def __lt__(self, other): return True
    __gt__ = __le__ = __ge__ = __lt__
    def __contains__(self, other): return True
    def __sub__(self, other): return 0.0
    __rsub__ = __sub__
    def __abs__(self): return 0.0
    def __hash__(self): return hash(5)
    def __len__(self): return 1
    def __iter__(self): return iter([A()])
    def __getattr__(self, name): return lambda *a: True
f = lambda *a: A()
"""


@pytest.mark.parametrize(
    "test",
    [
        "assert candidate() == 5",
        "assert 5 == candidate()",
        "assert not candidate() != 5",
        "assert abs(candidate() - 5) < 1e-6",
        "assert abs(5 - candidate()) < 1e-6",
        "assert candidate() < 5",
        "assert 5 in candidate()",
        "assert candidate() in [5]",
        "assert candidate() in {5: 1}",
        "assert list(candidate()) == [5]",
        "assert tuple(candidate()) == (5,)",
        "assert isinstance(candidate(), int)",
        "assert candidate().startswith('a')",
        "assert {'a': candidate()} == {'a': 5}",
        "assert sorted([candidate(), 3])[0] == 5",
    ],
)
def test_an_object_that_equals_everything_equals_nothing(test: str) -> None:
    assert _run(EQUAL, "asserts", test) == [False]
    derived = EQUAL.replace("class A:", "class A(int):").replace("lambda *a: A()", "lambda *a: A(9)")
    assert _run(derived, "asserts", test.replace("isinstance", "not isinstance")) == [False]


def test_a_class_that_derives_from_a_built_in_type_has_its_value() -> None:
    code = "import collections, enum\nP = collections.namedtuple('P', 'x y')\nclass C(enum.IntEnum):\n    A = 3\n"
    code += "f = lambda n: [P(1, 2), C.A][n]"
    tests = [
        "assert candidate(0) == (1, 2)",
        "assert candidate(0).x == 1",
        "assert candidate(1) == 3",
        "x, y = candidate(0); assert y == 2",
    ]
    assert _run(code, "asserts", *tests) == [True] * 4
    assert _run(code, "asserts", "assert candidate(0) == (1, 3)", "assert candidate(1) == 4") == [False] * 2


def test_functions_go_to_the_candidate_and_come_back() -> None:
    code = "def f(a, key):\n    return sorted(a, key=key)"
    assert _run(code, "asserts", "assert candidate([3, -4, 1], key=lambda v: -v) == [3, 1, -4]") == [True]
    assert _run(code, "asserts", "assert candidate([3, -4, 1], abs) == [1, 3, -4]") == [True]
    assert _run("def f(g):\n    return g", "asserts", "h = lambda: 1\nassert candidate(h) is h") == [True]
    assert _run("def f(a):\n    return sum(a)", "asserts", "assert candidate(n for n in (1, 2)) == 3") == [True]
    assert _run("def f(n):\n    return lambda m: n + m", "asserts", "assert candidate(2)(3) == 5") == [True]


def test_what_cannot_be_given_is_told() -> None:
    with pytest.raises(GroundTruthError, match="a Mine as an argument"):
        _run("def f(a): pass", "asserts", "class Mine: pass\ncandidate(Mine())")
    with pytest.raises(GroundTruthError, match="the prelude fails: NameError"):
        _run("def f(a): pass", "asserts", "candidate()", prelude="x")
    with pytest.raises(GroundTruthError, match="no test turns to the program"):
        _run("def f(a): pass", "asserts", "assert 1")


@pytest.mark.parametrize("error", ["ValueError('no')", "KeyError('k')", "ZeroDivisionError()", "SystemExit(3)"])
def test_exceptions_come_over_as_themselves(error: str) -> None:
    kind = error.partition("(")[0]
    test = f"try:\n    candidate()\nexcept {kind} as e:\n    assert str(e) == str({error}) and e.args == {error}.args\n"
    test += "else:\n    assert False"
    assert _run(f"def f():\n    raise {error}", "asserts", test) == [True]


def test_a_check_of_many_statements_is_one_test() -> None:
    check = "def check(candidate):\n    for n in range(5):\n        assert candidate(n) == helper(n)"
    code = "def f(n):\n    return n * n"
    assert _run(code, "check", "check(candidate)", helpers=check, prelude="def helper(n):\n    return n ** 2") == [True]
    assert _run(
        "def f(n):\n    return n", "check", "check(candidate)", helpers=check, prelude="def helper(n):\n    return n ** 2"
    ) == [False]


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


def test_a_test_module() -> None:
    # 3 methods, 4 sets of parameters, 5 functions; skipped ones and the one that asks nothing do not count.
    assert _pytest(STACK, MODULE) == [True] * 12
    broken = STACK.replace("sum(a) / len(a)", "sum(a)").replace("upper", "lower").replace("return helper() + 1", "return 2")
    assert _pytest(broken, MODULE) == [True, True, True, False, False, False, False, True, False, False, True, True]


def test_a_built_in_function_may_be_the_right_program() -> None:
    module = "from solution import f\ndef test_a():\n    x = '5'\n    assert f(x) == 5\n"
    assert _pytest("f = int", module) == [True]
    assert _pytest("f = str", module) == [False]


def test_attributes_of_any_name_and_generators() -> None:
    code = "class A:\n    def __init__(self): self._name, self._kind, self._judge = 1, 2, 3\ndef g():\n    yield 1\n"
    module = "import types\nfrom solution import A, g\ndef test_a():\n    a = A()\n    a._base = 4\n"
    module += "    assert (a._name, a._kind, a._judge, a._base) == (1, 2, 3, 4)\ndef test_g():\n    x = g()\n"
    assert _pytest(code, module + "    assert isinstance(x, types.GeneratorType) and list(x) == [1]\n") == [True, True]


def test_no_more_tests_than_wanted() -> None:
    assert _run(STACK, "pytest", MODULE, most=4) == [True] * 4


def test_all_names_at_once_and_under_another() -> None:
    module = "from solution import *\nimport solution as s\ndef test_a():\n    x = 3\n    assert f(x) == s.g(x) == 4\n"
    assert _pytest("def f(x): return x + 1\ng = f", module) == [True]


def test_a_name_the_program_has_not_fails_the_module() -> None:
    assert _pytest("x = 1", MODULE) == [False]
    assert _pytest("def other(: pass", MODULE) == [False]


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
def test_what_a_test_module_needs_and_is_not_there_is_named(source: str, what: str) -> None:
    with pytest.raises(GroundTruthError, match=what):
        _pytest("def f(): return 1", source)


@pytest.mark.parametrize(
    "code",
    [
        "import os\nos._exit(0)",
        "import sys\nsys.exit(0)",
        "import os\ndef f(): os._exit(0)",
        "def f(): raise SystemExit(0)",
        "import os, signal\ndef f(): os.kill(os.getppid(), signal.SIGKILL)",
        "import os\ndef f():\n    for n in (1, 3, 4, 5, 6): os.write(n, b'%16d{\"a\": 5}' % 8)",
        "import os\ndef f(): os.closerange(0, 100)",
        "import builtins\nbuiltins.AssertionError = builtins.all = builtins.type = None\ndef f(): return None",
        "def f(): return f",
        "class f:\n    def __new__(cls): return 5\n    __init__ = None\nf = f.__new__",
    ],
)
def test_cheats_fail(code: str) -> None:
    module = "from solution import f\ndef test_a():\n    assert f() == 5\ndef test_b():\n    x = 6\n    assert f() == x\n"
    assert not any(_pytest(code, module))


def test_the_tests_import_nothing_that_the_candidate_wrote() -> None:
    code = "open('colorsys.py', 'w').write('x = 1')\ndef f():\n    import os\n    return len(os.listdir())"
    module = "from solution import f\ndef test_a():\n    x = f()\n    import colorsys\n"
    module += "    assert x == 1 and colorsys.rgb_to_hsv(0, 0, 0) == (0, 0, 0)\n"
    assert _pytest(code, module) == [True]


def test_the_tests_are_never_in_the_candidates_reach() -> None:
    code = """
import gc, sys
def look(value, depth):
    if isinstance(value, (str, bytes)):
        text = value if isinstance(value, str) else value.decode('latin-1')
        return chr(110) + 'eedle' in text
    if depth and isinstance(value, dict): return any(look(each, depth - 1) for each in list(value.values()))
    if depth and isinstance(value, (list, tuple)): return any(look(each, depth - 1) for each in value)
    return False
def f():
    for frame in sys._current_frames().values():
        while frame:
            if frame.f_code.co_filename != '<solution>' and look(dict(frame.f_locals), 4):
                return 'seen in ' + frame.f_code.co_filename
            frame = frame.f_back
    return 'seen' if any(look(each, 2) for each in gc.get_objects()) else 'not seen'
"""
    module = "from solution import f\ndef test_a():\n    assert f() == 'not seen', 'needle'\n    assert f()\n"
    assert _pytest(code, module) == [True]
