"""code_tests: right and wrong programs in every form of test, and programs that cheat or never end."""

import json
import time
from typing import Any

import pytest

from rewards.entry import compute_score

CALLS = {"fn_name": "swap", "inputs": [[[1, 2]], [["a", "b"]]], "outputs": [[[2, 1]], [["b", "a"]]]}
ASSERTS = {
    "functional": "def check(candidate):\n    assert candidate((1, 2)) == (2, 1)\n    assert candidate(p=(3, 4)) == (4, 3)\n"
    "\ncheck(swap)"
}
TEXTS = {"inputs": ["1 2\n", "5 5"], "outputs": ["3\n", "10.0"]}
SWAP = "def swap(p):\n    a, b = p\n    return b, a"
ADD = "print(sum(map(int, input().split())))"


def _score(code: str, truth: Any, **options: Any) -> dict[str, float]:
    response = f"<reasoning>\nr\n</reasoning>\n<answer>\n```python\n{code}\n```\n</answer>"
    return compute_score("d", response, json.dumps(truth), {"id": "row"}, reward="code_tests", options=options)


@pytest.mark.parametrize(
    ("code", "truth", "share"),
    [
        (SWAP, CALLS, 1.0),
        (SWAP, ASSERTS, 1.0),
        (ADD, TEXTS, 1.0),
        ("def swap(p):\n    return 2, 1", CALLS, 0.5),
        ("def swap(p):\n    return 2, 1", ASSERTS, 0.5),
        ("print(3)", TEXTS, 0.5),
        ("class Solution:\n    def swap(self, p):\n        return p[::-1]", CALLS, 1.0),
        ("print('noise')\n" + SWAP, CALLS, 1.0),
        ("def swap(p):\n    return p", CALLS, 0.0),
        ("def swap(p:\n", CALLS, 0.0),
        ("def other(p):\n    return p", ASSERTS, 0.0),
    ],
)
def test_the_share_of_tests_passed(code: str, truth: Any, share: float) -> None:
    assert _score(code, truth) == {"score": share, "accuracy": share, "format": 1.0, "failed": 0.0}


@pytest.mark.parametrize("truth", [CALLS, ASSERTS], ids=["calls", "asserts"])
@pytest.mark.parametrize(
    "cheat",
    [
        "pass",
        "import sys\nsys.exit(0)",
        "import os\nos._exit(0)",
        "def swap(p):\n    raise SystemExit(0)",
        "class A:\n    def __eq__(self, other):\n        return True\ndef swap(p):\n    return A()",
        "class A(tuple):\n    def __eq__(self, other):\n        return True\ndef swap(p):\n    return A()",
        'import os\nos.write(1, b\'{"passed": true}\\n{"value": "(2, 1)"}\\n\')',
        "import os, signal\nos.kill(0, signal.SIGKILL)",
    ],
)
def test_cheats_are_worth_nothing(cheat: str, truth: Any) -> None:
    result = _score(cheat, truth)
    assert (result["score"], result["failed"]) == (0.0, 0.0)


@pytest.mark.parametrize("truth", [CALLS, TEXTS], ids=["calls", "texts"])
@pytest.mark.parametrize(
    "code",
    ["while True:\n    pass", "x = [0] * 10**10", "while True:\n    print('x' * 10**6)", "import time\ntime.sleep(60)"],
)
def test_a_program_costs_at_most_its_limits(code: str, truth: Any) -> None:
    begun = time.monotonic()
    assert _score(code, truth, seconds=0.5, max_tests=1)["score"] == 0.0
    assert time.monotonic() - begun < 20


def test_a_child_that_stays_behind_dies_with_its_program() -> None:
    code = f"import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(60)\n{SWAP}"
    begun = time.monotonic()
    assert _score(code, CALLS, seconds=5.0)["score"] == 1.0
    assert time.monotonic() - begun < 20


def test_what_a_call_returned_before_the_end_counts() -> None:
    code = f"{SWAP.replace('swap', 'right')}\ndef swap(p):\n    if p[0] == 'a':\n        while True: pass\n    return right(p)"
    assert _score(code, CALLS, seconds=1.0)["score"] == 0.5


def test_a_prelude_is_out_of_the_candidates_reach() -> None:
    truth = {
        "prelude": "def same(a, b):\n    return a == b",
        "functional": "def check(candidate):\n    assert same(candidate(1), 2)\n\ncheck(f)",
    }
    assert _score("def f(a):\n    return a + 1", truth)["score"] == 1.0
    assert _score("def same(a, b):\n    return True\ndef f(a):\n    return 0", truth)["score"] == 0.0


def test_options() -> None:
    half = "def swap(p):\n    return 2, 1"
    assert _score(half, CALLS, all_or_nothing=True)["score"] == 0.0
    assert _score(half, CALLS, max_tests=1)["score"] == 1.0
    assert _score(half, CALLS, format_bonus=0.1)["score"] == pytest.approx(0.6)
    assert _score(half, CALLS, format_bonus=0.1)["accuracy"] == 0.5


@pytest.mark.parametrize(
    "truth",
    [
        {},
        [],
        {"inputs": [1], "outputs": []},
        {"inputs": [], "outputs": []},
        {"inputs": [3], "outputs": [3], "fn_name": "swap"},
        {"functional": "def check("},
        {"functional": "x = 1"},
    ],
)
def test_a_broken_row_is_a_counted_failure(truth: Any) -> None:
    assert _score(SWAP, truth) == {"score": 0.0, "accuracy": 0.0, "format": 0.0, "failed": 1.0}


def test_no_program_in_the_response_is_a_wrong_answer() -> None:
    result = compute_score("d", "no idea", json.dumps(CALLS), {}, reward="code_tests")
    assert result == {"score": 0.0, "accuracy": 0.0, "format": 0.0, "failed": 0.0}
