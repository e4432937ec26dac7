"""Objects, functions and exceptions that stay in the other process."""

from __future__ import annotations

import pytest

from tests.rewards.programs.inside.isolated_tests.running import run

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
def test_object_equal_to_everything_fails(test: str) -> None:
    assert run(EQUAL, "asserts", test) == [False]
    derived = EQUAL.replace("class A:", "class A(int):").replace("lambda *a: A()", "lambda *a: A(9)")
    assert run(derived, "asserts", test.replace("isinstance", "not isinstance")) == [False]


def test_subclass_of_a_built_in_type_has_its_value() -> None:
    code = "import collections, enum\nP = collections.namedtuple('P', 'x y')\nclass C(enum.IntEnum):\n    A = 3\n"
    code += "f = lambda n: [P(1, 2), C.A][n]"
    tests = [
        "assert candidate(0) == (1, 2)",
        "assert candidate(0).x == 1",
        "assert candidate(1) == 3",
        "x, y = candidate(0); assert y == 2",
    ]
    assert run(code, "asserts", *tests) == [True] * 4
    assert run(code, "asserts", "assert candidate(0) == (1, 3)", "assert candidate(1) == 4") == [False] * 2


def test_functions_are_passed_both_ways() -> None:
    code = "def f(a, key):\n    return sorted(a, key=key)"
    assert run(code, "asserts", "assert candidate([3, -4, 1], key=lambda v: -v) == [3, 1, -4]") == [True]
    assert run(code, "asserts", "assert candidate([3, -4, 1], abs) == [1, 3, -4]") == [True]
    assert run("def f(g):\n    return g", "asserts", "h = lambda: 1\nassert candidate(h) is h") == [True]
    assert run("def f(a):\n    return sum(a)", "asserts", "assert candidate(n for n in (1, 2)) == 3") == [True]
    assert run("def f(n):\n    return lambda m: n + m", "asserts", "assert candidate(2)(3) == 5") == [True]


@pytest.mark.parametrize("error", ["ValueError('no')", "KeyError('k')", "ZeroDivisionError()", "SystemExit(3)"])
def test_exceptions_keep_class_and_arguments(error: str) -> None:
    kind = error.partition("(")[0]
    test = f"try:\n    candidate()\nexcept {kind} as e:\n    assert str(e) == str({error}) and e.args == {error}.args\n"
    test += "else:\n    assert False"
    assert run(f"def f():\n    raise {error}", "asserts", test) == [True]
