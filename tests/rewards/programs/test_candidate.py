"""Calls of a candidate's function: arguments, results and values that cannot be returned."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rewards.parsing.assertion import Arguments
from rewards.programs.candidate import Outcome, call_function, pack_arguments
from rewards.sandbox import Limits


def _call(code: str, *calls: Arguments, prelude: str = "") -> list[Outcome]:
    packed = [pack_arguments(each) for each in calls]
    return asyncio.run(call_function(code, "f", packed, Limits(cpu_seconds=2, wall_seconds=60), prelude))


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
def test_values_are_passed_and_returned_unchanged(value: Any) -> None:
    (outcome,) = _call("def f(a):\n    return a", Arguments((value,)))
    assert outcome.returned
    assert outcome.value == value
    assert type(outcome.value) is type(value)


def test_nan_is_returned() -> None:
    (outcome,) = _call("def f():\n    return float('nan')", Arguments())
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
def test_instance_of_a_derived_class_is_its_plain_value(code: str, value: Any) -> None:
    (outcome,) = _call(code, Arguments())
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
def test_value_that_is_not_plain_data_is_not_returned(code: str) -> None:
    assert _call(code, Arguments()) == [Outcome(False)]


def test_calls_are_independent() -> None:
    code = "class Solution:\n    n = 0\n    def f(self, a):\n        self.n += 1\n        a += [self.n]\n"
    code += "        return 1 // a[0], a"
    calls = [Arguments(([1],)), Arguments(([0],)), Arguments((), (("a", [1]),))]
    outcomes = _call(code, *calls)
    assert [outcome.returned for outcome in outcomes] == [True, False, True]
    assert outcomes[0].value == outcomes[2].value == (1, [1, 1])


def test_values_returned_before_a_timeout_count() -> None:
    code = "def f(n):\n    while n: pass\n    return 'done'"
    assert _call(code, Arguments((0,)), Arguments((1,)), Arguments((0,))) == [
        Outcome(True, "done"),
        Outcome(False),
        Outcome(False),
    ]


def test_program_has_its_prelude_and_module() -> None:
    code = "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: 'int'\ndef f():\n    return BASE + P(2).x"
    assert _call(code, Arguments(), prelude="BASE = 40") == [Outcome(True, 42)]
