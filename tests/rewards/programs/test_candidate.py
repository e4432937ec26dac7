"""Calls of a candidate's function: what goes in, what comes back, and what cannot."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rewards.programs.candidate import Call, Candidate, Outcome, call_function
from rewards.sandbox import Limits


def _call(code: str, *calls: Call, prelude: str = "") -> list[Outcome]:
    return asyncio.run(call_function(Candidate(code, "f", prelude), calls, Limits(cpu_seconds=2, wall_seconds=10)))


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        3,
        -(10**30),
        [10**5000],
        2.5,
        float("inf"),
        "a\ud800\u20ac\n",
        b"\x00\xff",
        complex(1, -2),
        [],
        [1, [2.5, None]],
        [10**30, 1],
        (),
        (1,),
        (1, (2,)),
        {},
        {"a": 1},
        {1: {"b": (2,)}, (3, 4): None},
        {1, 2},
        set(),
        {"d": 1, "t": [2]},
    ],
)
def test_values_go_and_come_as_they_are(value: Any) -> None:
    (outcome,) = _call("def f(a):\n    return a", Call((value,)))
    assert outcome.returned
    assert outcome.value == value
    assert type(outcome.value) is type(value)


def test_nan_comes_back() -> None:
    (outcome,) = _call("def f():\n    return float('nan')", Call())
    assert outcome.value != outcome.value


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("import collections\nf = lambda: collections.Counter('aab')", {"a": 2, "b": 1}),
        ("import collections\nf = lambda: collections.namedtuple('P', 'x y')(1, 2)", (1, 2)),
        ("import enum\nclass C(enum.IntEnum):\n    A = 3\nf = lambda: C.A", 3),
        ("class A(list):\n    def __eq__(self, other):\n        return True\nf = lambda: A([7])", [7]),
        ("class A(dict):\n    def items(self):\n        return [(1, 2)]\nf = lambda: A(a=7)", {"a": 7}),
        ("class A(str):\n    __str__ = lambda self: 'other'\nf = lambda: A('mine')", "mine"),
        ("f = lambda: frozenset({1})", frozenset({1})),
    ],
)
def test_derived_classes_are_the_plain_values_they_hold(code: str, value: Any) -> None:
    (outcome,) = _call(code, Call())
    assert outcome == Outcome(True, value)
    assert type(outcome.value) is type(value)


@pytest.mark.parametrize(
    "code",
    [
        "def f(): raise ValueError",
        "def f(): return object()",
        "def f(): return f",
        "import collections\nf = lambda: collections.deque([1])",
        "def f():\n    a = []\n    a.append(a)\n    return a",
        "import os\nf = lambda: os._exit(0)",
        "f = 3",
        "g = 3",
        "def f(:",
        'import os\nos.write(1, b\'{"i": 0, "v": {"x": 1}}\\n{"i": 0\\n{"i": 99, "v": 1}\\n\')\ng = 1',
    ],
)
def test_what_returns_no_plain_data_returns_nothing(code: str) -> None:
    assert _call(code, Call()) == [Outcome(False)]


def test_each_call_is_on_its_own() -> None:
    code = "class Solution:\n    n = 0\n    def f(self, a):\n        self.n += 1\n        a += [self.n]\n"
    code += "        return 1 // a[0], a"
    calls = [Call(([1],)), Call(([0],)), Call((), (("a", [1]),))]
    outcomes = _call(code, *calls)
    assert [outcome.returned for outcome in outcomes] == [True, False, True]
    assert outcomes[0].value == outcomes[2].value == (1, [1, 1])


def test_what_was_returned_before_the_end_counts() -> None:
    code = "def f(n):\n    while n: pass\n    return 'done'"
    assert _call(code, Call((0,)), Call((1,)), Call((0,))) == [Outcome(True, "done"), Outcome(False), Outcome(False)]


def test_the_program_sees_its_prelude_and_a_module_of_its_own() -> None:
    code = "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: 'int'\ndef f():\n    return BASE + P(2).x"
    assert _call(code, Call(), prelude="BASE = 40") == [Outcome(True, 42)]
