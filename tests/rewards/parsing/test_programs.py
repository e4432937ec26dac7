"""The program among the blocks of a response."""

from __future__ import annotations

import pytest

from rewards.parsing.blocks import Block
from rewards.parsing.programs import choose_program, find_free_names

ADD = "def add(a, b):\n    return a + b\n"
PROGRAM = "def solve():\n    print(2 * int(input()))\n\nif __name__ == '__main__':\n    solve()\n"


def choose(*blocks: str | tuple[str, str], names: list[str] | None = None) -> str:
    """Return the program of Python blocks, or (language, text)."""
    made = [Block("python", each) if isinstance(each, str) else Block(*each) for each in blocks]
    return choose_program(made, names or [])


@pytest.mark.parametrize(
    "after",
    [
        "print(add(1, 2))\n",
        "from solution import add\n\nassert add(1, 2) == 3\n",
        "# 3\n",
        "result = add(1, 2)\nprint(result)\n",
        "import unittest\n\nclass TestAdd(unittest.TestCase):\n    def test(self):\n        self.assertEqual(add(1, 2), 3)\n",
        "add(1, 2)  # 3",
        ">>> add(1, 2)\n3\n",
        "",
    ],
)
def test_usage_after_the_function_does_not_replace_it(after: str) -> None:
    assert choose(ADD, after, names=["add"]) == ADD


@pytest.mark.parametrize(
    "after",
    [
        "# Input: 3, output: 6\n",
        "solve()\n",
        "import io, sys\n\nsys.stdin = io.StringIO('3')\nsolve()\n",
        "print(2 * 3)\n",
        "Input: 3\nOutput: 6\n",
        "6\n",
        "2 * int(input())\n",
        ("text", "6\n"),
        ("", "print(6)\n"),
        ("bash", "python main.py < input\n"),
    ],
)
def test_usage_after_the_program_does_not_replace_it(after: str | tuple[str, str]) -> None:
    assert choose(PROGRAM, after) == PROGRAM


def test_block_without_a_language_may_define_the_function() -> None:
    assert choose(("", ADD), "print(add(1, 2))\n", names=["add"]) == ADD
    assert choose(ADD, ("", "add(1, 2)\n"), ("javascript", "function add() {}\n"), names=["add"]) == ADD


def test_last_definition_counts() -> None:
    draft = ADD.replace("+", "-")
    assert choose(draft, ADD, names=["add"]) == ADD
    assert choose(draft, "import math\n", "add = lambda a, b: a + b\n", names=["add"]) == draft
    assert choose("x = 1\n", "add = lambda a, b: a + b\n", "print(add(1, 2))\n", names=["add"]) == "add = lambda a, b: a + b\n"


def test_last_program_counts() -> None:
    draft = "print(3 * int(input()))\n"
    assert choose(draft, PROGRAM) == PROGRAM
    assert choose(PROGRAM, draft) == draft
    assert choose("print('a')\n", "print('b')\n") == "print('b')\n"
    assert choose("print('a')\n", "n = abs(-1)\n") == "print('a')\n"


def test_a_draft_that_does_not_parse() -> None:
    assert choose(ADD, "def add(a, b:\n", names=["add"]) == ADD
    assert choose("def add(a, b:\n", "def add(a, b)\n", names=["add"]) == "def add(a, b)\n"


@pytest.mark.parametrize(
    ("blocks", "names"),
    [
        (["import math\n", "def half(n):\n    return math.floor(n / 2)\n"], ["half"]),
        (["from math import *\n", "def f(n):\n    return sqrt(n)\n"], ["f"]),
        (["LIMIT = 3\n", "def f(n):\n    return n < LIMIT\n"], ["f"]),
        (["import math\n", "def g(n):\n    return math.sqrt(n)\n", "def f(n):\n    return g(n)\n"], ["f"]),
        (["def f(n):\n    return g(n)\n", "def g(n):\n    return n\n"], ["f"]),
        (["class A:\n    pass\n", "class B(A):\n    pass\n"], ["B"]),
        (["class A:\n    pass\n", "class B:\n    pass\n"], ["A", "B"]),
        (["def solve(n):\n    return 2 * n\n", "print(solve(int(input())))\n"], []),
        (["n = int(input())\n", "print(2 * n)\n"], []),
        (["n = int(input())\n", "n = 2 * n\nprint(n)\n"], []),
        (["n = int(input())\n", "n *= 2\nprint(n)\n"], []),
        (["import sys\ndata = sys.stdin.read().split()\n", "total = 0\nfor each in data:\n    total += 1\nprint(total)\n"], []),
        (["def main():\n    print(input())\n", "main()\n"], []),
    ],
)
def test_program_split_over_blocks(blocks: list[str], names: list[str]) -> None:
    assert choose(*blocks, names=names) == "\n".join(blocks)


def test_blocks_that_the_program_does_not_need_are_left_out() -> None:
    helper, function = "import math\n\ndef g(n):\n    return math.sqrt(n)\n", "def f(n):\n    return g(n)\n"
    assert choose("print('an idea')\n", helper, "1 / 0\n", function, "f(1)\n", names=["f"]) == f"{helper}\n{function}"
    draft = "import sys\nprint(2 * int(sys.stdin.readline()))\n"
    final = "for line in sys.stdin:\n    print(2 * int(line))\n"
    assert choose(draft, final) == final


def test_method_of_the_class_that_graders_search() -> None:
    solution = "class Solution:\n    def add(self, a, b):\n        return a + b\n"
    assert choose(solution, "print(Solution().add(1, 2))\n", names=["add"]) == solution
    assert choose(solution, "print(Solution().add(1, 2))\n", names=["Solution"]) == solution


@pytest.mark.parametrize(
    ("blocks", "chosen"),
    [
        ([("", "print(1)\n"), ("text", "1\n")], 0),
        ([("python", "print(1)\n"), ("", "print(2)\n")], 0),
        ([("", PROGRAM), ("python", "solve()\n")], 0),
        ([("python", "x = (\n"), ("", "1 2 3\n")], 0),
        ([("javascript", "print(1)\n"), ("cpp", "print(2)\n")], 1),
        ([("py", "print(1)\n"), ("python3", "print(2)\n")], 1),
    ],
)
def test_languages(blocks: list[tuple[str, str]], chosen: int) -> None:
    assert choose(*blocks) == blocks[chosen][1]


def test_names_that_are_used_but_not_defined() -> None:
    source = "import a\nfrom b import c as d\n\ndef e(f, *g):\n    i = f + j\n    return [k for k in l] + a + d\n\nm += len(n)"
    assert find_free_names(source) == {"j", "l", "m", "n"}
    assert find_free_names("for a in range(3):\n    print(a)\nb = [c for c in range(3)]\nb += b") == set()
