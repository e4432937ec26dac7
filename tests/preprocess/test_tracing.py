"""Traces of programs whose runs are known."""

import pytest

from preprocess.errors import RowError
from preprocess.tracing.questions import ask
from preprocess.tracing.trace import Trace, trace

LOOP = "def f(n):\n    s = 0\n    for i in range(n):\n        s += i\n    return s"


def _trace(code: str, args: str) -> Trace:
    (result,) = trace(code, "f", [args])
    assert isinstance(result, Trace), result
    return result


def test_steps_of_a_loop() -> None:
    run = _trace(LOOP, "2")
    assert run.value == "1"
    assert [(step.line, step.turn) for step in run.steps] == [(2, 1), (3, 1), (4, 1), (3, 2), (4, 2), (3, 3), (5, 1)]
    changes = [{name: value.text for name, value in step.changed.items()} for step in run.steps]
    assert changes == [{"s": "0"}, {"i": "0"}, {}, {"i": "1"}, {"s": "1"}, {}, {}]


def test_a_statement_over_several_lines_is_one_step() -> None:
    run = _trace("def f(a):\n    b = [\n        a,\n        a + 1,\n    ]\n    return b", "1")
    assert [step.line for step in run.steps] == [2, 6]
    assert run.steps[0].changed["b"].text == "[1, 2]"


def test_only_the_outermost_call_is_followed() -> None:
    run = _trace("def f(n):\n    if n == 0:\n        return 0\n    return n + f(n - 1)", "3")
    assert [step.line for step in run.steps] == [2, 4]


def test_a_change_in_place_is_seen() -> None:
    run = _trace("def f(a):\n    a.append(1)\n    return a", "[]")
    assert run.steps[0].changed["a"].text == "[1]"


def test_a_caught_exception_is_followed() -> None:
    run = _trace("def f(a):\n    try:\n        b = a[5]\n    except IndexError:\n        b = 0\n    return b", "[]")
    assert [step.line for step in run.steps] == [2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("return 1 / 0", "ZeroDivisionError"),
        ("raise SystemExit", "SystemExit"),
        ("import os; os._exit(0)", "ended"),
        ("return lambda: 1", "not plain data"),
        ("yield 1", "not plain data"),
    ],
)
def test_what_cannot_be_traced_has_a_reason(body: str, reason: str) -> None:
    (result,) = trace(f"def f():\n    {body}", "f", [""])
    assert isinstance(result, str)
    assert reason in result


def test_calls_after_a_lost_one_are_not_traces_of_others() -> None:
    results = trace("import os\ndef f(n):\n    if n: os._exit(1)\n    return n", "f", ["0", "1", "0"])
    assert isinstance(results[0], Trace)
    assert [type(each) for each in results[1:]] == [str, str]


def test_a_program_that_does_not_parse() -> None:
    with pytest.raises(RowError, match="does not parse"):
        trace("def f(:", "f", [""])


def test_questions_are_the_same_for_a_seed_and_split_between_kinds() -> None:
    run = _trace(LOOP, "3")
    first, second = ask(run, 4, "17:a"), ask(run, 4, "17:a")
    assert first == second
    assert (len(first.path), len(first.state)) == (2, 2)
    assert any(ask(run, 4, f"{seed}:a") != first for seed in range(5))


def test_the_answers_are_true() -> None:
    questions = ask(_trace(LOOP, "2"), 20, "1")
    path = {question.text: question.answers for question in questions.path}
    state = {question.text: question.answers for question in questions.state}
    assert path["Which line runs right after line 3 (`for i in range(n):`) has run for the 3rd time?"] == ("return s",)
    assert path["Which line runs right after line 5 (`return s`) has run for the 1st time?"] == ("-1",)
    assert state["What are value and type of `s` after line 4 (`s += i`) has run for the 2nd time?"] == ("1; int",)
    assert questions.to_truth()["state_as"][0] == [["int", "0"]]
