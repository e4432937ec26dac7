"""Questions about runs, and whether their answers are true."""

import re
import textwrap
from itertools import pairwise

import pytest

from preprocess.tracing.questions import Question, Questions, make_questions
from preprocess.tracing.trace import Trace, trace
from tests.preprocess.tracing.test_trace import CONSTRUCTS, watch

LOOP = "def f(n):\n    s = 0\n    for i in range(n):\n        s += i\n    return s"
_ASKED = re.compile(r"(?:of `(?P<name>\w+)` )?(?:right )?after line (?P<line>\d+) \(`.*`\) has run for the (?P<turn>\d+)")


def _run(code: str, args: str) -> Trace:
    return trace(textwrap.dedent(code).strip(), "f", args)


def _ask_all(run: Trace) -> Questions:
    """Return the questions of many seeds."""
    asked = [make_questions(run, 100, str(seed)) for seed in range(20)]
    path = {question: None for each in asked for question in each.path}
    state = {question: None for each in asked for question in each.state}
    return Questions(tuple(path), tuple(state))


def _find_answers(run: Trace, line: int, turn: int) -> tuple[str, ...]:
    (question,) = [each for each in _ask_all(run).path if (each.line, each.turn) == (line, turn)]
    return question.answers


def test_seed_and_split_between_kinds() -> None:
    run = _run(LOOP, "3")
    first, second = make_questions(run, 4, "17:a"), make_questions(run, 4, "17:a")
    assert first == second
    assert (len(first.path), len(first.state)) == (2, 2)
    assert any(make_questions(run, 4, f"{seed}:a") != first for seed in range(5))


def test_wording_and_answers() -> None:
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


def test_truth() -> None:
    question = Question("?", ("Nil",), 1, 1)
    assert Questions((Question("?", ("a", "-1"), 1, 1),), (question, Question("?", ("'; '; str",), 1, 1))).to_truth() == {
        "path_answers": [["a", "-1"]],
        "state_as": [[["Nil", "Nil"]], [["str", "'; '"]]],
    }


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
def test_answers_agree_with_the_interpreter(name: str) -> None:
    code, args = textwrap.dedent(PLAIN[name][0]).strip(), PLAIN[name][1]
    seen, _ = watch(code, args)
    watched = [(line, after) for (line, _), (_, after) in pairwise(seen) if line]
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


def test_readings_after_a_call() -> None:
    run = _run(*CONSTRUCTS["recursion"][:2])
    assert _find_answers(run, 4, 1) == ("if n == 0:", "return n + below")
    assert _find_answers(run, 2, 2) == ("below = f(n - 1)",)
    # The inner call returns to a line that began before it.
    assert _find_answers(run, 3, 1) == ("return n + below",)
    assert _find_answers(run, 5, 2) == ("-1",)


def test_readings_after_a_return_with_a_call() -> None:
    run = _run("def f(n):\n    if n == 0:\n        return 0\n    return n + f(n - 1)", "1")
    assert _find_answers(run, 4, 1) == ("if n == 0:", "-1")


def test_readings_after_a_yield() -> None:
    run = _run(*CONSTRUCTS["a generator"][:2])
    assert _find_answers(run, 3, 1) == ("out.append(x)", "for i in range(n):")
    assert _find_answers(run, 8, 3) == ("for i in range(n):", "return out")
    assert _find_answers(_run(*CONSTRUCTS["an abandoned generator"][:2]), 2, 1) == ("return a",)


def test_try_and_decorators() -> None:
    assert _find_answers(_run(*CONSTRUCTS["an exception through two frames"][:2]), 9, 1) == ("g(x)",)
    assert _find_answers(
        _run("def f():\n    a = 1\n    try:\n        a = 2\n    finally:\n        pass\n    return a", ""), 2, 1
    ) == (
        "try:",
        "a = 2",
    )
    run = _run("def f():\n    a = 1\n    @(lambda g: g)\n    def g():\n        return a\n    return g()", "")
    assert _find_answers(run, 2, 1) == ("def g():", "@(lambda g: g)")


def test_values_with_several_readings_are_not_asked() -> None:
    # The run of line 4 that begins first is done last.
    texts = [each.text for each in _ask_all(_run(*CONSTRUCTS["recursion"][:2])).state]
    assert not [text for text in texts if "`below`" in text and "3rd" not in text]
    texts = [each.text for each in _ask_all(_run(*CONSTRUCTS["a generator"][:2])).state]
    assert any("`i` after line 2" in text for text in texts)


def test_lines_that_cannot_be_counted_are_not_asked_about() -> None:
    run = _run("def f(a):\n    for i in a: a = i\n    def g(): return 1\n    return g()", "[1, 2]")
    assert {each.line for each in _ask_all(run).all} <= {4}


def test_lines_that_run_once_have_no_second_run() -> None:
    questions = _ask_all(_run("def f(n):\n    a = 1\n    if n:\n        a = 2\n    return a", "0"))
    negative = {(each.line, each.turn) for each in questions.all if each.is_negative}
    assert negative == {(4, 1), (5, 1)}


def test_share_of_negative_questions() -> None:
    run = _run(LOOP, "3")
    asked = [make_questions(run, 4, str(seed)) for seed in range(300)]
    for kind in ([each.path for each in asked], [each.state for each in asked]):
        share = sum(question.is_negative for each in kind for question in each) / sum(map(len, kind))
        assert 0.1 < share < 0.3


@pytest.mark.parametrize("name", CONSTRUCTS)
def test_questions_are_distinct_and_have_few_answers(name: str) -> None:
    run = _run(*CONSTRUCTS[name][:2])
    for seed in range(5):
        questions = make_questions(run, 8, str(seed)).all
        texts = [each.text for each in questions]
        assert len(set(texts)) == len(texts)
        assert all(1 <= len(each.answers) <= 2 for each in questions)


def test_questions_cover_several_lines() -> None:
    run = _run(LOOP, "40")
    for seed in range(20):
        lines = [each.line for each in make_questions(run, 8, str(seed)).path]
        assert len(set(lines)) >= 2


@pytest.mark.parametrize("count", range(5))
def test_count(count: int) -> None:
    assert len(make_questions(_run(LOOP, "3"), count, "1").all) == count
