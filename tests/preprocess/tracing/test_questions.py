"""What is asked about runs, and whether it is true."""

import re
import sys
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest

from preprocess.tracing.questions import Question, Questions, ask
from preprocess.tracing.trace import Trace, trace
from tests.preprocess.tracing.test_trace import CONSTRUCTS

LOOP = "def f(n):\n    s = 0\n    for i in range(n):\n        s += i\n    return s"
_ASKED = re.compile(r"(?:of `(?P<name>\w+)` )?(?:right )?after line (?P<line>\d+) \(`.*`\) has run for the (?P<turn>\d+)")


def _run(code: str, args: str) -> Trace:
    (result,) = trace(textwrap.dedent(code).strip(), "f", [args])
    assert isinstance(result, Trace), result
    return result


def _ask_all(run: Trace) -> Questions:
    """Every question that some seed asks."""
    asked = [ask(run, 100, str(seed)) for seed in range(20)]
    path = {question: None for each in asked for question in each.path}
    state = {question: None for each in asked for question in each.state}
    return Questions(tuple(path), tuple(state))


def _find_answers(run: Trace, line: int, turn: int) -> tuple[str, ...]:
    (question,) = [each for each in _ask_all(run).path if (each.line, each.turn) == (line, turn)]
    return question.answers


def test_they_are_the_same_for_a_seed_and_split_between_kinds() -> None:
    run = _run(LOOP, "3")
    first, second = ask(run, 4, "17:a"), ask(run, 4, "17:a")
    assert first == second
    assert (len(first.path), len(first.state)) == (2, 2)
    assert any(ask(run, 4, f"{seed}:a") != first for seed in range(5))


def test_their_wording_and_their_answers() -> None:
    questions = _ask_all(_run(LOOP, "2"))
    path = {question.text: question.answers for question in questions.path}
    state = {question.text: question.answers for question in questions.state}
    assert path == {
        "Which line runs right after line 2 (`s = 0`) has run for the 1st time?": ("for i in range(n):",),
        "Which line runs right after line 3 (`for i in range(n):`) has run for the 1st time?": ("s += i",),
        "Which line runs right after line 3 (`for i in range(n):`) has run for the 2nd time?": ("s += i",),
        "Which line runs right after line 3 (`for i in range(n):`) has run for the 3rd time?": ("return s",),
        "Which line runs right after line 3 (`for i in range(n):`) has run for the 4th time?": ("-1",),
        "Which line runs right after line 4 (`s += i`) has run for the 1st time?": ("for i in range(n):",),
        "Which line runs right after line 4 (`s += i`) has run for the 2nd time?": ("for i in range(n):",),
        "Which line runs right after line 4 (`s += i`) has run for the 3rd time?": ("-1",),
        "Which line runs right after line 5 (`return s`) has run for the 1st time?": ("-1",),
    }
    assert state == {
        "What are value and type of `s` after line 2 (`s = 0`) has run for the 1st time?": ("0; int",),
        "What are value and type of `i` after line 3 (`for i in range(n):`) has run for the 1st time?": ("0; int",),
        "What are value and type of `i` after line 3 (`for i in range(n):`) has run for the 2nd time?": ("1; int",),
        "What are value and type of `i` after line 3 (`for i in range(n):`) has run for the 4th time?": ("Nil",),
        "What are value and type of `s` after line 4 (`s += i`) has run for the 2nd time?": ("1; int",),
        "What are value and type of `s` after line 4 (`s += i`) has run for the 3rd time?": ("Nil",),
    }


def test_the_truth_is_in_the_form_that_the_reward_reads() -> None:
    question = Question("?", ("Nil",), 1, 1)
    assert Questions((Question("?", ("a", "-1"), 1, 1),), (question, Question("?", ("'; '; str",), 1, 1))).to_truth() == {
        "path_answers": [["a", "-1"]],
        "state_as": [[["Nil", "Nil"]], [["str", "'; '"]]],
    }


def _watch(code: str, args: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Each line that the interpreter says to run in the function, and its variables afterwards, as their answers."""
    seen: list[tuple[int, dict[str, str]]] = []

    def note(frame: Any, event: str, argument: object) -> object:
        if frame.f_code.co_filename == "<own>":
            state = {name: f"{value!r}; {type(value).__name__}" for name, value in frame.f_locals.items()}
            seen.append((frame.f_lineno if event == "line" else 0, state))
        return note

    names: dict[str, object] = {}
    exec(compile(code, "<own>", "exec"), names)
    before = sys.gettrace()
    sys.settrace(note)
    try:
        eval(f"f({args})", names)
    finally:
        sys.settrace(before)
    return ((line, after) for (line, _), (_, after) in pairwise(seen) if line)


PLAIN = {
    "a loop": (LOOP, "4"),
    "branches": (CONSTRUCTS["branches"][0], "2"),
    "a test": (
        """
        def f(n):
            k = 0
            while n != 1:
                n = n // 2 if n % 2 == 0 else 3 * n + 1
                k += 1
            return k
        """,
        "6",
    ),
    "a list that grows": (
        """
        def f(a):
            b = []
            for x in a:
                if x in b:
                    continue
                b.append(x)
            return b
        """,
        "'aab'",
    ),
}


@pytest.mark.parametrize("name", PLAIN)
def test_they_agree_with_the_interpreter_on_plain_programs(name: str) -> None:
    code, args = textwrap.dedent(PLAIN[name][0]).strip(), PLAIN[name][1]
    watched = list(_watch(code, args))
    lines = [line for line, _ in watched]
    questions = _ask_all(_run(code, args))
    assert len(questions.path) > 3
    assert len(questions.state) > 1
    for question in questions.all:
        asked = _ASKED.search(question.text)
        assert asked is not None
        places = [place for place, line in enumerate(lines) if line == int(asked["line"])]
        place = places[int(asked["turn"]) - 1] if len(places) >= int(asked["turn"]) else None
        if asked["name"] is None:
            following = lines[place + 1] if place is not None and place + 1 < len(lines) else 0
            assert question.answers == (code.split("\n")[following - 1].strip() if following else "-1",)
        elif place is None:
            assert question.answers == ("Nil",)
        else:
            assert question.answers == (watched[place][1][asked["name"]],)


def test_all_readings_of_what_runs_after_a_call_are_accepted() -> None:
    run = _run(*CONSTRUCTS["recursion"][:2])
    assert _find_answers(run, 4, 1) == ("if n == 0:", "return n + below")
    assert _find_answers(run, 2, 2) == ("below = f(n - 1)",)
    # What the inner call returns to is a line that had begun before.
    assert _find_answers(run, 3, 1) == ("return n + below",)
    assert _find_answers(run, 5, 2) == ("-1",)


def test_a_return_that_calls_is_followed_by_the_call_or_by_nothing() -> None:
    run = _run("def f(n):\n    if n == 0:\n        return 0\n    return n + f(n - 1)", "1")
    assert _find_answers(run, 4, 1) == ("if n == 0:", "-1")


def test_a_yield_is_followed_by_who_asked_for_it_or_by_its_own_next_line() -> None:
    run = _run(*CONSTRUCTS["a generator"][:2])
    assert _find_answers(run, 3, 1) == ("out.append(x)", "for i in range(n):")
    assert _find_answers(run, 8, 3) == ("for i in range(n):", "return out")
    assert _find_answers(_run(*CONSTRUCTS["a generator that is left"][:2]), 2, 1) == ("return a",)


def test_a_try_may_be_passed_over_and_a_decorator_named() -> None:
    assert _find_answers(_run(*CONSTRUCTS["an exception that goes through frames"][:2]), 9, 1) == ("g(x)",)
    assert _find_answers(
        _run("def f():\n    a = 1\n    try:\n        a = 2\n    finally:\n        pass\n    return a", ""), 2, 1
    ) == (
        "try:",
        "a = 2",
    )
    run = _run("def f():\n    a = 1\n    @(lambda g: g)\n    def g():\n        return a\n    return g()", "")
    assert _find_answers(run, 2, 1) == ("def g():", "@(lambda g: g)")


def test_values_are_asked_only_where_every_reading_gives_the_same() -> None:
    # Of the runs of line 4 the first to begin is the last to be done.
    texts = [each.text for each in _ask_all(_run(*CONSTRUCTS["recursion"][:2])).state]
    assert not [text for text in texts if "`below`" in text and "3rd" not in text]
    texts = [each.text for each in _ask_all(_run(*CONSTRUCTS["a generator"][:2])).state]
    assert any("`i` after line 2" in text for text in texts)


def test_lines_that_cannot_be_counted_are_not_asked_about() -> None:
    run = _run("def f(a):\n    for i in a: a = i\n    def g(): return 1\n    return g()", "[1, 2]")
    assert {each.line for each in _ask_all(run).all} <= {4}


def test_lines_that_run_once_are_not_asked_about_for_a_second_time() -> None:
    questions = _ask_all(_run("def f(n):\n    a = 1\n    if n:\n        a = 2\n    return a", "0"))
    nothing = {(each.line, each.turn) for each in questions.all if each.is_of_nothing}
    assert nothing == {(4, 1), (5, 1)}


def test_to_say_that_there_is_nothing_pays_little() -> None:
    run = _run(LOOP, "3")
    asked = [ask(run, 4, str(seed)) for seed in range(300)]
    for kind in ([each.path for each in asked], [each.state for each in asked]):
        share = sum(question.is_of_nothing for each in kind for question in each) / sum(map(len, kind))
        assert 0.1 < share < 0.3


@pytest.mark.parametrize("name", CONSTRUCTS)
def test_no_question_is_asked_twice_and_none_has_many_answers(name: str) -> None:
    run = _run(*CONSTRUCTS[name][:2])
    for seed in range(5):
        questions = ask(run, 8, str(seed)).all
        texts = [each.text for each in questions]
        assert len(set(texts)) == len(texts)
        assert all(1 <= len(each.answers) <= 2 for each in questions)


def test_every_line_has_its_turn_before_one_has_another() -> None:
    run = _run(LOOP, "40")
    for seed in range(20):
        lines = [each.line for each in ask(run, 8, str(seed)).path]
        assert len(set(lines)) >= 2


@pytest.mark.parametrize("count", range(5))
def test_there_are_no_more_than_wanted(count: int) -> None:
    assert len(ask(_run(LOOP, "3"), count, "1").all) == count
