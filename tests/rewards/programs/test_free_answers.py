"""Answers that cost nothing, and what the prompt gives away."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rewards.errors import GroundTruthError
from rewards.programs import free_answers
from rewards.programs.ground_truth import Tests, read_tests


def _read(truth: dict[str, Any]) -> Tests:
    return read_tests(json.dumps(truth), 10)


def _texts(*outputs: str) -> dict[str, Any]:
    return {"inputs": [f"{number}\n" for number in range(len(outputs))], "outputs": list(outputs)}


def _calls(*outputs: Any, **more: Any) -> dict[str, Any]:
    return {"fn_name": "f", "inputs": [[number] for number in range(len(outputs))], "outputs": list(outputs), **more}


def _functional(*lines: str) -> dict[str, Any]:
    return {"functional": "def check(candidate):\n" + "".join(f"    {line}\n" for line in lines) + "\ncheck(f)"}


MODULE = {
    "pytest": "import pytest\nfrom solution import f\n\n@pytest.mark.parametrize('a', [1])\ndef test_f(a):\n"
    "    assert f(a) == 'no'\n    assert f(a + 1) == 'no'\n    assert f(a + 2)\n"
}


@pytest.mark.parametrize(
    ("truth", "names"),
    [
        (_texts("ODD\n", "ODD", "EVEN"), ["print ODD", "print EVEN"]),
        (_texts("1", "2", "3", "4"), ["print 1", "print 2", "print 3"]),
        (_texts("", "2"), ["print 2"]),
        (_texts("a\nb", "a\nb"), ["print a b"]),
        (_calls(True, False, True), ["return True", "return False"]),
        (_calls([1], [1], {"a": 2}), ["return [1]", "return True", "return {'a': 2}"]),
        (_calls(None, 3), ["return None", "return 3"]),
        (_functional("assert candidate(1)", "assert candidate(2)", "assert not candidate(3)"), ["return True", "return False"]),
        (_functional("assert candidate(1) == float('inf')"), ["return True"]),
        (MODULE, ["return 'no'", "return True"]),
    ],
)
def test_constants_that_pass_most_tests(truth: dict[str, Any], names: list[str]) -> None:
    assert list(free_answers.write_constants(_read(truth))) == names


@pytest.mark.parametrize(
    ("truth", "blank"),
    [
        (_texts("", "2"), True),
        (_texts(" \n", "2"), True),
        (_texts("0", "2"), False),
        (_calls(None, 2), True),
        (_calls(0, ""), False),
        (_functional("assert candidate(1) is None"), True),
        (_functional("assert not candidate(1)"), True),
        (_functional("assert candidate(1)"), False),
        (MODULE, False),
    ],
)
def test_blank_outputs(truth: dict[str, Any], blank: bool) -> None:
    assert free_answers.has_blank(_read(truth)) is blank


@pytest.mark.parametrize(
    ("truth", "counted"),
    [
        (_texts("", "2"), [1]),
        (_texts("ODD", "ODD", "EVEN"), None),
        (_calls(None, 2), [1]),
        (_calls(True, False), None),
        (_functional("assert candidate(1)", "assert not candidate(2)", "assert candidate(3) == 4"), [2]),
        (MODULE, None),
    ],
)
def test_free_tests_are_excluded(truth: dict[str, Any], counted: list[int] | None) -> None:
    assert free_answers.find_counted(_read(truth), "exclude") == counted
    assert free_answers.find_counted(_read(truth), "count") is None


def test_a_row_of_free_tests_only_is_invalid() -> None:
    for truth in (_texts("", "\n"), _calls(None), _functional("assert candidate(1)")):
        with pytest.raises(GroundTruthError, match="every test passes without a solution"):
            free_answers.find_counted(_read(truth), "exclude")


@pytest.mark.parametrize(
    ("truth", "guessable"),
    [
        (_texts("ODD", "ODD", "ODD", "EVEN"), True),
        (_texts("1", "1.0", "2"), True),
        (_texts("", "2"), True),
        (_texts("1", "2", "3"), False),
        (_texts("YES"), False),
        (_calls(True, True, False), True),
        (_calls(None, 1), True),
        (_calls([1], [2]), False),
        (_functional("assert candidate(1)", "assert candidate(2) == 4"), True),
        (_functional("assert candidate(1) == 3", "assert candidate(2) == 4"), False),
        (MODULE, True),
    ],
)
def test_guessable_rows(truth: dict[str, Any], guessable: bool) -> None:
    assert free_answers.is_guessable(_read(truth)) is guessable


ADD = {"fn_name": "add", "inputs": [[1, 2], [30, -4]], "outputs": [3, 26]}
NAMES = {"fn_name": "f", "inputs": [["ab", [1, 2]]], "outputs": [{"a": True}]}
LINES = {"inputs": ["2\n1 2\n", "1\n7\n"], "outputs": ["3\n", "7\n"]}


@pytest.mark.parametrize(
    ("truth", "prompt", "shown"),
    [
        (ADD, ">>> add(1, 2)\n3\n>>> add(30, -4)\n26", True),
        (ADD, "assert add( 1,2 )==3 and 26 == add(30, -4)", False),
        (ADD, ">>> add(1, 2)\n3", False),
        (ADD, "add(1, 2) gives 33, add(30, -4) gives 26", False),
        (ADD, "add(11, 2) gives 3, add(30, -4) gives 26", False),
        (ADD, "3 and 26 are the results", False),
        (NAMES, 'Input: text = "ab", numbers = [1,2]. Output: {"a": true}', True),
        (NAMES, "f('ab', [1, 2]) == {'a': True}", True),
        (NAMES, "f('ab', [1, 2]) == {'a': False}", False),
        (LINES, "Input:\n2\n1 2\nOutput:\n3\n\nInput\n```\n1\n7\n```\nOutput\n```\n7\n```", True),
        (LINES, "Input:\n2\n1 2\nOutput:\n3\n", False),
        (_texts("ODD", "EVEN"), "Print ODD or EVEN. It has 2 tests.", False),
        ({"inputs": [""], "outputs": ["Hello"]}, "Print Hello.", True),
        (_functional("assert candidate(Pair(1)).a == 1"), "Your code must pass: assert f(Pair(1)).a == 1", True),
        (_functional("assert candidate(Pair(1)).a == 1"), "Write f.", False),
        (MODULE, "Write f.", False),
        (ADD, "", False),
    ],
)
def test_answers_in_the_prompt(truth: dict[str, Any], prompt: str, shown: bool) -> None:
    assert free_answers.is_shown(_read(truth), prompt) is shown


def test_hostile_prompts_and_values_are_searched_in_linear_time() -> None:
    tests = _read({"inputs": ["1 " * 500, "x" * 5000], "outputs": ["1 " * 500, "(" * 900]})
    assert not free_answers.is_shown(tests, "1 " * 20_000 + "(" * 20_000)
