"""Taking answers and code out of responses."""

import pytest

from rewards.answers import is_well_formed, take_answer, take_code, take_lines

GOOD = "<reasoning>\nr\n</reasoning>\n<answer>\na\n</answer>"


@pytest.mark.parametrize(
    ("response", "well_formed"),
    [
        (GOOD, True),
        (f"  {GOOD}\n", True),
        (f"so: {GOOD}", False),
        (GOOD + GOOD, False),
        (GOOD.replace("</reasoning>", ""), False),
        ("<answer>a</answer><reasoning>r</reasoning>", False),
        ("", False),
    ],
)
def test_the_form(response: str, well_formed: bool) -> None:
    assert is_well_formed(response) is well_formed


def test_the_last_answer_counts() -> None:
    assert take_answer("<answer>1</answer> no: <answer> 2 </answer>") == "2"
    assert take_answer("<answer>1") is None


def test_lines_without_fences() -> None:
    assert take_lines("```python\nassert f() == 1\n\n  return a \n```") == ["assert f() == 1", "return a"]


@pytest.mark.parametrize(
    ("response", "code"),
    [
        ("<answer>\n```python\nx = 1\n```\n</answer>", "x = 1\n"),
        ("<answer>\nx = 1\n</answer>", "x = 1"),
        ("text\n```\nx = 1\n```\n", "x = 1\n"),
        ("```python\ny\n```\n<answer>\n```python\na\n```\nthen\n```python\nb\n```\n</answer>", "b\n"),
        ("no program", None),
        ("<answer></answer>", None),
    ],
)
def test_the_program(response: str, code: str | None) -> None:
    assert take_code(response) == code
