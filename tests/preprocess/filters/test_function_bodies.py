"""Equality of function bodies."""

from __future__ import annotations

import pytest

from preprocess.filters.function_bodies import digest_bodies, find_code

BODY = """def f(xs, k):
    best = {}
    for place, x in enumerate(xs):
        if k - x in best:
            return [best[k - x], place]
        best[x] = place
    return None
"""


def same(one: str, other: str) -> bool:
    digests = digest_bodies(one)
    assert digests
    return bool({*digests} & {*digest_bodies(other)})


@pytest.mark.parametrize(
    "other",
    [
        BODY.replace("best", "seen").replace("xs", "numbers").replace("f(", "two_sum("),
        BODY.replace("(xs, k):", '(xs: "list[int]", k: int = 3) -> list:\n    """Finds them."""'),
        BODY.replace("best = {}", "best: dict = {}  # none yet"),
        "import os\nclass Solution:\n    @staticmethod\n" + BODY.replace("\n", "\n    ").replace("def", "    def", 1),
        BODY.replace("    return None", "\n\n    return (None)"),
    ],
    ids=["names", "signature", "annotation and comment", "method", "layout"],
)
def test_equal_bodies(other: str) -> None:
    assert same(BODY, other)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("k - x in", "k + x in"),
        ("enumerate", "list"),
        ("best[x] = place", "best[place] = x"),
        ("None", "0"),
        ("place]", "place, 1]"),
    ],
)
def test_different_bodies(before: str, after: str) -> None:
    assert not same(BODY, BODY.replace(before, after))


def test_renamed_recursion_is_equal() -> None:
    text = "def {0}(n, a, b, c):\n    if n:\n        return {0}(n - 1, a, c, b) + [(a, c)] + {0}(n - 1, b, a, c)"
    assert same(text.format("hanoi"), text.format("move"))


def test_trivial_bodies_and_helpers_are_left_out() -> None:
    assert not digest_bodies("def gcd(a, b):\n    while b:\n        a, b = b, a % b\n    return a\n")
    helper = BODY + "def find(parents, x):\n    while parents[x] != x:\n        x = parents[x]\n    return x\n"
    assert len(digest_bodies(helper)) == 1


@pytest.mark.parametrize(
    "code", ["def f(:\n" * 20, "x = " + "(" * 5000 + "1" + ")" * 5000, "\0" * 100, "def f():\n    '\\d'\n" * 5, "x" * 300_000]
)
def test_invalid_code_has_no_bodies(code: str, recwarn: pytest.WarningsRecorder) -> None:
    assert digest_bodies(code) == []
    assert not recwarn.list


def test_find_code_in_fences_or_the_whole_text() -> None:
    assert find_code(f"Look:\n```python\n{BODY}```\nand\n```\nno code\n```") == [BODY]
    assert find_code(BODY) == [BODY]
    assert find_code("No program at all.") == []
