"""Functions of Python files, with what they need, and their calls."""

import textwrap

import pytest

from preprocess.tracing.calls import Unusable
from preprocess.tracing.functions import Function, read_program


def _read(text: str) -> list[Function | Unusable]:
    return list(read_program(textwrap.dedent(text).lstrip("\n")))


def _take(text: str, name: str = "f") -> Function:
    (found,) = [each for each in _read(text) if isinstance(each, Function) and each.name == name]
    return found


def _calls(text: str) -> list[tuple[str, str | None]]:
    return [(call.args, call.expected) for call in _take(text).calls]


def test_function_with_what_it_needs() -> None:
    function = _take('''
        """A module."""
        from __future__ import annotations

        import math, os
        import re as r  # for g
        from collections import Counter, deque

        HALF = 0.5
        TWICE = HALF * 4
        TABLE = {}
        for i in range(3):
            TABLE[i] = i
        TABLE.update(x=1)
        unused = 1

        class Point:
            size = TWICE

        def g(x):
            return r.sub("a", "b", x)

        def other(x):
            return x

        @staticmethod
        def f(x):
            """Says something.

            And more.

            >>> f("a")
            'b'
            """
            # A comment.
            for unused in x:
                other = g(unused)
            return Point.size, TABLE, math.pi
    ''')
    assert function.code == textwrap.dedent("""
        from __future__ import annotations
        import math, os
        import re as r  # for g
        HALF = 0.5
        TWICE = HALF * 4
        TABLE = {}
        for i in range(3):
            TABLE[i] = i
        TABLE.update(x=1)

        class Point:
            size = TWICE

        def g(x):
            return r.sub("a", "b", x)

        @staticmethod
        def f(x):
            # A comment.
            for unused in x:
                other = g(unused)
            return Point.size, TABLE, math.pi
    """).strip("\n")
    assert function.statement == "Says something.\n\nAnd more."
    assert function.signature == "def f(x):"


def test_conditional_definitions_and_star_imports() -> None:
    code = _take("""
        from math import *
        try:
            import numpy as np
        except ImportError:
            np = None
        if np:
            def g(): return np
        else:
            def g(): return 1
        def f(): return g(), pi
        f()
    """).code
    assert "import numpy" in code
    assert "from math import *" in code
    assert code.endswith("else:\n    def g(): return 1\n\ndef f(): return g(), pi")


def test_docstring_on_a_shared_line_is_kept() -> None:
    assert _take('def f(x): "Text."; return x\nf(1)').code == 'def f(x): "Text."; return x'
    assert _take('def f(x): "Text."; return x\nf(1)').signature == "def f(x):"


def test_docstring_examples() -> None:
    assert _calls('''
        def f(*a, **k):
            """Text.

            >>> f(1, x=[2])
            3
            >>> f(None)
            >>> f(2) == 4
            True
            >>> items = [1,
            ...          2]
            >>> f(items)
            []
            >>> print(f(5))
            text
            >>> assert f(6) == (7,)
            """
            return a
    ''') == [("1, x=[2]", "3"), ("None", "None"), ("2", "4"), ("[1, 2]", "[]"), ("5", None), ("6", "(7,)")]


def test_top_level_calls() -> None:
    assert _calls("""
        import math
        ITEMS = [1, 2]
        def f(*a, **k):
            return a
        def g(x):
            return x
        f(1)
        print(f(ITEMS), f(g(2)))
        x = f(k=3)
        assert f(4) == [5]
        assert {6} == f(5)
        assert f(6) is None
        assert f(7), "text"
        assert f(8) == g(1)
        f(math.pi, len("ab"), -1.5, lambda y: y)
        f(1)
        if __name__ == "__main__":
            f(9)
            for i in range(3):
                f(10)
        try:
            f(11)
        except ValueError:
            f(12)
    """) == [
        ("1", None),
        ("[1, 2]", None),
        ("g(2)", None),
        ("k=3", None),
        ("4", "[5]"),
        ("5", "{6}"),
        ("6", "None"),
        ("7", None),
        ("8", None),
        ("math.pi, len('ab'), -1.5, lambda y: y", None),
        ("9", None),
        ("10", None),
        ("11", None),
        ("12", None),
    ]


def test_names_in_arguments_are_included() -> None:
    function = _take("class P:\n    pass\nclass Q:\n    pass\ndef f(p):\n    return 1\nf(P())")
    assert function.code == "class P:\n    pass\n\ndef f(p):\n    return 1"


def test_duplicate_call_with_a_value_is_used() -> None:
    assert _calls("def f(x):\n    return x\nf(1)\nassert f(1) == 1") == [("1", "1")]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("def f(x):\n    return x", 1, "f has no examples: neither `>>> f(…)` in its docstring nor a call"),
        ('def f(x):\n    "Text."\nf(1)', 1, "f has nothing but a docstring"),
        ("def f(x):\n    return x\ny = input()\nf(y)", 4, "f(y): `y` is not a literal"),
        ("def f(x):\n    return x\n[f(i) for i in (1, 2)]", 3, "f(i): `i` is not a literal"),
        ("y = 1\ny = 2\ndef f(x):\n    return x\nf(y)", 5, "f(y): `y` is not a literal"),
        ('def f(x):\n    """\n    >>> g(1)\n    2\n    """\n    return x', 3, "example 'g(1)' does not call f"),
        ('def f(x):\n    """\n    >>> f(1\n    2\n    """\n    return x', 3, "example 'f(1' is not one statement"),
        (
            'def f(x):\n    """\n    >>> f(1)\n    <object>\n    """\n    return x',
            3,
            "the value of f(1) is not a literal: <object>",
        ),
        (
            'def f(x):\n    """\n    >>> f(1)\n    Traceback (most recent call last):\n    Error: x\n    """\n    return x',
            3,
            "the example of f(1) raises an exception",
        ),
        ('def f(x):\n    """\n    >>>f(1)\n    """\n    return x', 2, "lacks blank"),
        ("async def f(x):\n    return x\nf(1)", 1, "f is asynchronous, and not traced"),
        (
            'class A:\n    def f(self):\n        """\n        >>> A().f()\n        """\n        return 1',
            2,
            "A.f is a method, and not traced",
        ),
        ("def f(x):\n    return x\ndef f(x):\n    return 2\nf(1)", 1, "f is defined again on line 3"),
        ("x = 1\ndef f(:\n", 2, "not Python: "),
        ("x = 1\nreturn 2\n", 2, "not Python: 'return' outside function"),
        ("x = '\0'", 1, "not Python: "),
        (f"def f(x):\n    return x\nf({'1 + ' * 1500}1)", 1, "nested too deep"),
        (f"x = {'(' * 300}{')' * 300}", 1, "not Python: too many nested parentheses"),
    ],
)
def test_unusable(text: str, line: int, reason: str) -> None:
    found = [each for each in _read(text) if isinstance(each, Unusable)]
    assert [each.line for each in found] == [line]
    assert reason in found[0].reason


def test_needed_functions_are_not_reported() -> None:
    text = "def g(x):\n    return x\ndef f(x):\n    return g(x)\ndef h(x):\n    return g(x)\nf(1)"
    function, unusable = _read(text)
    assert isinstance(function, Function)
    assert function.code == "def g(x):\n    return x\n\ndef f(x):\n    return g(x)"
    assert isinstance(unusable, Unusable)
    assert unusable.function == "h"


def test_private_functions_are_ignored() -> None:
    assert _read("def _g(x):\n    return x\n_g(1)") == []


def test_examples_after_an_unusable_one() -> None:
    text = 'def f(x):\n    """\n    >>> g(1)\n    2\n    >>> f(3)\n    4\n    """\n    return x'
    assert [type(each) for each in _read(text)] == [Unusable, Function]
    assert _calls(text) == [("3", "4")]


def test_bom_and_crlf() -> None:
    function = _take("\ufeffA = 1\r\ndef f(x):\r\n    return A\r\nf(2)\r\n")
    assert function.code == "A = 1\n\ndef f(x):\n    return A"
