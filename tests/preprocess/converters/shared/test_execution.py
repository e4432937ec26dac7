"""Questions about the execution of programs, and their scores by the white_box reward."""

import json
import textwrap

import pytest

from preprocess.converters.options import parse_options
from preprocess.converters.shared.execution import ExecutionOptions, Exercise, make_exercises
from preprocess.errors import LeftOutError, RowError
from rewards.builtin.white_box_rows import make_cheats, make_reference
from rewards.entry import compute_score_blocking
from tests.preprocess.tracing.test_trace import CONSTRUCTS

CODE = "def f(a, b=1):\n    c = a + b\n    return c"


def _make(code: str, args: str, expected: str | None = None, **options: object) -> list[Exercise]:
    chosen = parse_options(options, ExecutionOptions)
    return list(make_exercises(textwrap.dedent(code).strip(), "f", args, expected, "problem", "name", chosen))


def _score(exercise: Exercise, response: str) -> float:
    truth = json.dumps(exercise.truth)
    result = compute_score_blocking("x", response, truth, {"id": "x"}, rewards=[{"name": "white_box"}])
    assert result["failed"] == 0
    return float(result["score"])


@pytest.mark.parametrize("name", CONSTRUCTS)
def test_right_answers_score_best_and_cheats_lower(name: str) -> None:
    code, args, _ = CONSTRUCTS[name]
    for exercise in _make(code, args, task="both", questions=6):
        truth = json.dumps(exercise.truth)
        assert _score(exercise, make_reference(truth, {})) == 2.0
        assert _score(exercise, exercise.to_sft().conversations[1].value) == 2.0
        for what, cheat in make_cheats(truth, {}).items():
            if what != "no tags":
                assert _score(exercise, cheat) < 1.0, what


@pytest.mark.parametrize("name", ["recursion", "a generator", "a decorated function inside"])
def test_accepted_answers_score_the_same(name: str) -> None:
    code, args, _ = CONSTRUCTS[name]
    for seed in range(8):
        (exercise,) = _make(code, args, questions=6, seed=seed)
        first, last = (
            "\n".join(
                [f"assert f({args}) == {exercise.trace.value}", *(each.answers[place] for each in exercise.questions.all)]
            )
            for place in (0, -1)
        )
        assert _score(exercise, f"<answer>{first}</answer>") == _score(exercise, f"<answer>{last}</answer>") == 2.0


def test_worked_answer_lists_lines_in_the_order_they_are_done() -> None:
    (exercise,) = _make(*CONSTRUCTS["recursion"][:2], questions=0)
    assert "<reasoning>\nbelow = 0\nbelow = 1\nreturns 3\n</reasoning>" in exercise.to_sft().conversations[1].value


@pytest.mark.parametrize("task", ["output", "input"])
def test_answer_that_is_not_worked_out_states_the_result_only(task: str) -> None:
    (exercise,) = _make(CODE, "1", questions=0, worked=False, task=task)
    response = exercise.to_sft().conversations[1].value
    assert response.startswith("<reasoning>\nreturns 2\n</reasoning>\n<answer>")
    assert _score(exercise, response) == 2.0


def test_tasks() -> None:
    assert [each.kind for each in _make(CODE, "1", task="output")] == ["io_mixed"]
    assert [each.kind for each in _make(CODE, "1", task="input")] == ["oi"]
    both = _make(CODE, "1", task="both")
    assert [(each.kind, each.name) for each in both] == [("io_mixed", "name"), ("oi", "name/input")]
    assert "assert f(1) == ??" in both[0].prompt
    assert "assert f(??) == 2" in both[1].prompt


@pytest.mark.parametrize(("code", "args"), [(CODE, "len('ab')"), ("def f():\n    return 1", "")])
def test_arguments_that_are_not_plain_values(code: str, args: str) -> None:
    assert [each.kind for each in _make(code, args, task="both")] == ["io_mixed"]
    with pytest.raises(RowError, match="its arguments are not plain values, or it has none"):
        _make(code, args, task="input")


def test_seed() -> None:
    prompts = [_make(*CONSTRUCTS["branches"][:2], questions=3, seed=seed)[0].prompt for seed in (1, 1, 2, 3, 4)]
    assert prompts[0] == prompts[1]
    assert len(set(prompts)) > 1


def test_expected_value_is_checked() -> None:
    assert _make(CODE, "1", "2")
    with pytest.raises(RowError, match="it returns 2, expected 3"):
        _make(CODE, "1", "3")
    with pytest.raises(RowError, match="not a literal"):
        _make(CODE, "1", "x")


def test_max_chars_and_max_steps() -> None:
    with pytest.raises(LeftOutError, match="longer than max_chars 5"):
        _make(CODE, "1", max_chars=5)
    with pytest.raises(RowError, match="more than 1 steps"):
        _make(CODE, "1", max_steps=1)
