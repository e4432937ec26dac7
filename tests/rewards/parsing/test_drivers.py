"""Programs of functions, with and without statements that read standard input."""

from __future__ import annotations

import pytest

from rewards.parsing.drivers import leave_out_driver

F = "def f(n):\n    return n + 1"


@pytest.mark.parametrize(
    ("code", "left"),
    [
        (f"n = input()\n{F}", F),
        (f"{F}\nn = int(input())\nprint(f(n))", F),
        (f"{F}\nprint(f(int(input())))", F),
        (f"import sys\n{F}\nfor line in sys.stdin:\n    print(f(line))", f"import sys\n{F}"),
        (f"{F}\nimport sys\na, b = map(int, sys.stdin.readline().split())\nwhile a < b:\n    a = f(a)", f"{F}\nimport sys"),
        (f"{F}\ndef main():\n    print(f(int(input())))\nmain()", f"{F}\ndef main():\n    print(f(int(input())))"),
        (
            f"def r():\n    return input()\n{F}\ndef m():\n    f(r())\nm()",
            f"def r():\n    return input()\n{F}\ndef m():\n    f(r())",
        ),
        (f"{F}\nn = input()\nM = f(3)", f"{F}\nM = f(3)"),
    ],
)
def test_driver_is_left_out(code: str, left: str) -> None:
    assert leave_out_driver(code).replace("\n\n", "\n") == left


@pytest.mark.parametrize(
    "code",
    [
        F,
        f"{F}  # input",
        f"import sys\ninput = sys.stdin.readline\n{F}",
        f"import sys\ninput = lambda: sys.stdin.readline().rstrip()\n{F}",
        f"try:\n    n = int(input())\nexcept EOFError:\n    n = 1\n{F}",
        f"class A:\n    def read(self):\n        return input()\nA()\n{F}",
        "def f():\n    return input()",
        "n = input(\ndef f(n)",
    ],
)
def test_other_programs_are_unchanged(code: str) -> None:
    assert leave_out_driver(code) == code
