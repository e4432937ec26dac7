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
    assert take_lines("```python\nassert f() == 1\n\n  return a \n```") == ["assert f() == 1", "  return a "]
    assert take_lines("```python assert f() == 1\n3```") == ["assert f() == 1", "3"]
    assert take_lines("```assert f() == '```'```\n'a'\n~~~") == ["assert f() == '```'", "'a'"]


@pytest.mark.parametrize(
    ("response", "code"),
    [
        ("<answer>\n```python\nx = 1\n```\n</answer>", "x = 1\n"),
        ("<answer>\nx = 1\n</answer>", "x = 1"),
        ("text\n```\nx = 1\n```\n", "x = 1\n"),
        ("text\r\n```python\r\nx = 1\r\n```\r\n", "x = 1\n"),
        ("```python\ny\n```\n<answer>\n```python\na\n```\nthen\n```python\nb\n```\n</answer>", "b\n"),
        ("```python\na\n```\n```python\nb", "b"),
        ("```python\n```\n", ""),
        ("no program", None),
        ("<answer></answer>", None),
    ],
)
def test_code(response: str, code: str | None) -> None:
    assert take_code(response) == code


CODE = "print(int(input()) * 2)"


@pytest.mark.parametrize(
    "answer",
    [
        f"```python\n{CODE}\n```",
        f"``` python\n{CODE}\n```",
        f'```python title="x.py"\n{CODE}\n```',
        f"````python\n{CODE}\n````",
        f"~~~python\n{CODE}\n~~~",
        f" ```python\n {CODE}\n ```",
        f"   ```python\n   {CODE}\n   ```",
        f"1. so\n\n   ```python\n   {CODE}\n   ```",
        f"```python\n{CODE}\n````",
        f"```python\n{CODE}",
        f"First this:\n```python\n{CODE}\n```\nThat prints twice the number.",
        f"```python\n{CODE}\n```\nIt prints:\n```\n6\n```",
        f"\ufeff```python\n\ufeff{CODE}\n```",
        CODE,
        f"\ufeff{CODE}",
    ],
)
@pytest.mark.parametrize("windows", [False, True])
def test_code_as_models_write_it(answer: str, windows: bool) -> None:
    draft = "```python\nprint('draft')\n```"
    responses = [
        make_response(answer),
        make_response(answer, reasoning=draft),
        f"<think>\n{draft}\n</think>\n\n{make_response(answer)}",
        f"<think>{make_response(draft)}</think>{make_response(answer)}",
        f"{draft}\n</think>\n\n{make_response(answer)}",
        f"\ufeff{make_response(answer)}",
        make_response(answer).removesuffix("\n</answer>"),
    ]
    if "```" in answer or "~~~" in answer:
        responses += [answer, f"<think>\n{draft}\n</think>\n{answer}"]
    else:
        responses.pop()
    for response in responses:
        code = take_code(response.replace("\n", "\r\n") if windows else response)
        assert code is not None
        assert code.strip("\n") == CODE


def test_code_in_an_unfinished_thought_does_not_count() -> None:
    assert take_code(f"<think>\n```python\n{CODE}\n```\n") is None
    assert take_code(f"<think>\n{make_response(CODE)}") is None


@pytest.mark.parametrize("code", ["print('<think>')", "print('</think>')", 's = re.sub(r"<think>.*?</think>", "", s)'])
def test_tags_in_a_program_are_kept(code: str) -> None:
    assert take_code(make_response(f"```python\n{code}\n```")) == f"{code}\n"


def test_function_that_the_row_tests() -> None:
    function, usage = "def add(a, b):\n    return a + b\n", "print(add(1, 2))\n"
    response = make_response(f"```python\n{function}```\nFor example:\n```python\n{usage}```")
    assert take_code(response, ["add"]) == function


@pytest.mark.parametrize(
    "piece",
    [
        "<answer>",
        "</reasoning><answer>",
        "</answer>",
        "```a\n",
        "```\n",
        "<reasoning>",
        "<think>",
        "</think>",
        "~~~\n",
        "- ",
        "```\nf()\n```\n",
    ],
)
def test_hostile_responses_take_linear_time(piece: str) -> None:
    began = time.process_time()
    for response in (piece * 20_000, "<answer>" + piece * 20_000, GOOD + piece * 20_000, "```\n" + piece * 20_000):
        is_well_formed(response)
        take_code(response)
        take_code(response, ["f"])
    assert time.process_time() - began < 5.0
