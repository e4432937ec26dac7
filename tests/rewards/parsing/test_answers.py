"""Extraction of answers and code from responses."""

import time

import pytest

from rewards.parsing.answers import is_well_formed, make_response, take_answer, take_code, take_lines

GOOD = "<reasoning>\nr\n</reasoning>\n<answer>\na\n</answer>"


@pytest.mark.parametrize(
    ("response", "well_formed"),
    [
        (GOOD, True),
        (make_response("a"), True),
        (f"  {GOOD}\n", True),
        (f"so: {GOOD}", False),
        (GOOD + GOOD, False),
        (GOOD.replace("</reasoning>", ""), False),
        ("<answer>a</answer><reasoning>r</reasoning>", False),
        ("", False),
    ],
)
def test_well_formed(response: str, well_formed: bool) -> None:
    assert is_well_formed(response) is well_formed


def test_last_answer_counts() -> None:
    assert take_answer("<answer>1</answer> no: <answer> 2 </answer>") == "2"
    assert take_answer("<answer>1<answer>2</answer>") == "2"
    assert take_answer("<answer>1</answer><answer>2") == "1"
    assert take_answer("<answer>1") is None
    assert take_answer("1</answer>") is None


def test_lines_exclude_fences() -> None:
    assert take_lines("```python\nassert f() == 1\n\n  return a \n```") == ["assert f() == 1", "return a"]


@pytest.mark.parametrize(
    ("response", "code"),
    [
        ("<answer>\n```python\nx = 1\n```\n</answer>", "x = 1\n"),
        ("<answer>\nx = 1\n</answer>", "x = 1"),
        ("text\n```\nx = 1\n```\n", "x = 1\n"),
        ("text\r\n```python\r\nx = 1\r\n```\r\n", "x = 1\r\n"),
        ("```python\ny\n```\n<answer>\n```python\na\n```\nthen\n```python\nb\n```\n</answer>", "b\n"),
        ("```python\na\n```\n```python\nb", "a\n"),
        ("```python\n```\n", ""),
        ("no program", None),
        ("<answer></answer>", None),
    ],
)
def test_code(response: str, code: str | None) -> None:
    assert take_code(response) == code


@pytest.mark.parametrize("piece", ["<answer>", "</reasoning><answer>", "</answer>", "```a\n", "```\n", "<reasoning>"])
def test_hostile_responses_take_linear_time(piece: str) -> None:
    began = time.process_time()
    for response in (piece * 20_000, "<answer>" + piece * 20_000, GOOD + piece * 20_000, "```\n" + piece * 20_000):
        is_well_formed(response)
        take_code(response)
    assert time.process_time() - began < 5.0
