"""white_box: the published formula, and the ways in which the published reward could be cheated."""

import json
from typing import Any

import pytest

from rewards.entry import compute_score

MIXED: dict[str, Any] = {
    "type": "io_mixed",
    "func_str": "def f(a, b):\n    c = a\n    return c",
    "func_name": "f",
    "func_args": "1, 'x;y'",
    "result": "1",
    "question_answers": {
        "path_answers": [["return c", "return  c"]],
        "state_as": [[["int", "1"]], [["str", "'x;y'"]], [["Nil", "Nil"]]],
    },
}
REVERSE = {**MIXED, "type": "oi", "question_answers": {}}
RIGHT = "assert f(1, 'x;y') == 1\nreturn c\n1; int\n'x;y'; str\nNil"


def _score(answer: str, truth: Any = MIXED, **options: Any) -> dict[str, float]:
    response = f"<reasoning>\nr\n</reasoning>\n<answer>\n{answer}\n</answer>"
    return compute_score("d", response, json.dumps(truth), {"id": "row"}, reward="white_box", options=options)


@pytest.mark.parametrize(
    ("answer", "share"),
    [
        (RIGHT, 1.0),
        (RIGHT.replace("'x;y'; str", "x;y; str"), 1.0),
        (RIGHT.replace("return c", "-1"), 0.875),
        (RIGHT.replace("1; int", "True; int"), 0.875),
        (RIGHT.replace("1; int", "1; float"), 0.875),
        (RIGHT.replace("1; int", "int"), 0.875),
        ("assert f(1, 'x;y') == 1", 0.5),
        (RIGHT + "\nmore", 0.5),
        (RIGHT.replace("== 1", "== 2"), 0.0),
        (RIGHT.replace("== 1", "== True"), 0.0),
        (RIGHT.replace("f(1,", "f(2,"), 0.0),
    ],
)
def test_half_for_the_assertion_and_half_for_the_questions(answer: str, share: float) -> None:
    result = _score(answer)
    assert result == {"score": 2 * share, "accuracy": share, "format": 1.0, "failed": 0.0}


@pytest.mark.parametrize(
    "cheat",
    [
        "pass",
        "",
        "assert True # f(1, 'x;y')",
        "assert f(1, 'x;y') == f(1, 'x;y')",
        "assert f(1, 'x;y') == 1 or True",
        "assert f(1, 'x;y') == 1 == 1",
        "assert (f := lambda *_: 1)(1, 'x;y') == 1",
        "assert f(1, 'x;y') == 1; f = 2",
        "assert f(1, 'x;y') == 1, 'message'",
        "import sys; sys.exit(0)",
        "assert f(1, 'x;y') == " + "(" * 5000,
        "assert f(1, 'x;y') == " + "[" * 50 + "]" * 50,
    ],
)
@pytest.mark.parametrize("truth", [MIXED, REVERSE], ids=["io_mixed", "oi"])
def test_cheats_are_worth_nothing(cheat: str, truth: dict[str, Any]) -> None:
    result = _score(cheat, truth)
    assert (result["score"], result["failed"]) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("answer", "score"),
    [
        ("assert f(1, 2) == 1", 2.0),
        ("assert f(b=[], a=1) == 1", 2.0),
        ("assert f(2, 2) == 1", 0.0),
        ("assert f(1, 2) == 2", 0.0),
        ("assert g(1, 2) == 1", 0.0),
        ("assert f(*[1, 2]) == 1", 0.0),
        ("def f(*a): return 1\nassert f(5, 5) == 1", 0.0),
        ("assert f(int('1'), 2) == 1", 0.0),
    ],
)
def test_a_found_input_is_run_on_the_rows_own_function(answer: str, score: float) -> None:
    assert _score(answer, REVERSE)["score"] == score


def test_a_row_without_questions_is_right_with_its_assertion() -> None:
    row = {**MIXED, "question_answers": {"path_answers": [], "state_as": []}}
    assert _score("assert f(1, 'x;y') == 1", row)["score"] == 2.0


def test_the_form_earns_its_bonus_alone() -> None:
    assert _score("pass", format_bonus=0.1)["score"] == pytest.approx(0.1)
    bare = compute_score("d", RIGHT, json.dumps(MIXED), {}, reward="white_box", options={"format_bonus": 0.1})
    assert (bare["score"], bare["format"]) == (0.0, 0.0)


@pytest.mark.parametrize("truth", [{}, {**MIXED, "result": "<object>"}, {**MIXED, "question_answers": None}, [], None])
def test_a_broken_row_is_a_counted_failure(truth: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert _score(RIGHT, truth) == {"score": 0.0, "accuracy": 0.0, "format": 0.0, "failed": 1.0}
    assert "row row of d" in caplog.text
