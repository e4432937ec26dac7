"""Values that are copied between the processes, and changes that a call makes to them."""

from __future__ import annotations

import pytest

from tests.rewards.programs.inside.isolated_tests.running import run


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
def test_plain_values_are_copied(value: str) -> None:
    same = f"v = candidate({value}); assert v == {value} and type(v) is type({value})"
    assert run("def f(a):\n    return a", "asserts", same) == [True]


def test_sharing_and_cycles_are_kept() -> None:
    test = "a = [1]; a.append(a); b = candidate(a); assert b is a and b[1] is b"
    assert run("def f(a):\n    return a", "asserts", test) == [True]
    assert run(
        "def f():\n    a = {}\n    a['me'] = [a, a]\n    return a", "asserts", "v = candidate(); assert v['me'][1] is v"
    ) == [True]
    assert run(
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
def test_changes_to_arguments_are_applied(code: str, test: str) -> None:
    prelude = (
        "class Node:\n    __slots__ = ('val', 'next')\n    def __init__(self, v, n=None):\n        self.val, self.next = v, n"
    )
    assert run(code, "asserts", test, prelude=prelude) == [True]


def test_prelude_classes_are_copied_even_if_redefined() -> None:
    prelude = "class Node:\n    def __init__(self, v, n=None):\n        self.v, self.n = v, n\n"
    test = "a = candidate(Node(1, Node(2))); assert type(a) is Node and (a.v, a.n.v, a.n.n) == (2, 1, None)"
    code = (
        "def f(a):\n    b = None\n    while a:\n        assert isinstance(a, Node)\n        a.n, b, a = b, a, a.n\n    return b"
    )
    assert run(code, "asserts", test, prelude=prelude) == [True]
    assert run(prelude + code, "asserts", test, prelude=prelude) == [True]


def test_attribute_cannot_replace_a_prelude_method() -> None:
    prelude = "class Node:\n    def same(self, v):\n        return self.v == v\n"
    code = "def f():\n    a = Node()\n    a.v = 1\n    a.same = lambda v: True\n    return a"
    assert run(code, "asserts", "assert candidate().same(2)", prelude=prelude) == [False]
