"""Make questions about a trace, with the answers that are accepted.

docs/tracing.md defines what the questions mean. A line that calls a function of the program begins before that function's
lines and is done after them, so "right after it has run" can be read in two ways, and so can "for the 2nd time" if runs of one
line are nested, as in a recursion. The answers of both readings are accepted. A question with more than two accepted answers
is not asked.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from preprocess.tracing.source import Line
from preprocess.tracing.trace import Step, Trace

NO_LINE = "-1"
"""Answer: no line runs after it, or it did not run that often."""
NIL = "Nil"
"""Answer: the variable has no value then, or the line did not run that often."""
_NEGATIVE_CHANCE = 0.25
"""Chance that the next question is a negative one, if there is a choice and the last one was not: a fifth of all questions.
Always answering `-1` and `Nil` earns little then, and so does never answering them."""
_MAX_ANSWERS = 2


@dataclass(frozen=True)
class Question:
    """One question and its accepted answers; SFT rows teach the first."""

    text: str
    answers: tuple[str, ...]
    line: int
    turn: int

    @property
    def is_negative(self) -> bool:
        """Whether `-1` or `Nil` is an accepted answer."""
        return NO_LINE in self.answers or NIL in self.answers


@dataclass(frozen=True)
class Questions:
    """The questions about one trace, in this order."""

    path: tuple[Question, ...]
    """Which line runs next."""
    state: tuple[Question, ...]
    """Value and type of a variable: answers of the form `value; type`."""

    @property
    def all(self) -> tuple[Question, ...]:
        """Path questions, then state questions."""
        return self.path + self.state

    def to_truth(self) -> dict[str, Any]:
        """Return `question_answers` in the form of the white_box reward."""
        return {
            "path_answers": [list(each.answers) for each in self.path],
            "state_as": [[_split(answer) for answer in each.answers] for each in self.state],
        }


def make_questions(trace: Trace, count: int, seed: str) -> Questions:
    """Return at most `count` questions, half of each kind if possible; the same seed gives the same questions."""
    chooser = random.Random(seed)
    path, state = (_put_in_order(list(each), chooser) for each in (_ask_path(trace), _ask_state(trace)))
    states = min(len(state), count - min(len(path), count // 2))
    return Questions(_take(path, count - states), _take(state, states))


def _put_in_order(questions: list[Question], chooser: random.Random) -> list[Question]:
    """Return the questions in the order of selection: one about each line before a second about any."""
    chooser.shuffle(questions)
    seen: Counter[int] = Counter()
    ranks = {}
    for each in questions:
        ranks[each] = seen[each.line]
        seen[each.line] += 1
    questions.sort(key=ranks.__getitem__, reverse=True)
    negative = [each for each in questions if each.is_negative]
    positive = [each for each in questions if not each.is_negative]
    order: list[Question] = []
    while True:
        may_be_negative = negative and not (order and order[-1].is_negative)
        pool = negative if may_be_negative and chooser.random() < _NEGATIVE_CHANCE else positive
        if not pool:
            return order
        order.append(pool.pop())


def _take(questions: Sequence[Question], count: int) -> tuple[Question, ...]:
    return tuple(sorted(questions[:count], key=lambda each: (each.line, each.turn, each.text)))


def _ask_path(trace: Trace) -> Iterator[Question]:
    for begun, done in _pair_runs(trace):
        line = trace.lines[begun.line]
        places = [begun.place + 1, *(each.done for each in (begun, done) if each.done is not None)]
        answers = tuple(dict.fromkeys(text for place in places for text in name_step(trace, place)))
        if line.is_definite and len(answers) <= _MAX_ANSWERS:
            yield _ask(line, begun.line, begun.turn, answers)
    for number, line, turn in _find_missing(trace):
        yield _ask(line, number, turn, (NO_LINE,))


def _ask_state(trace: Trace) -> Iterator[Question]:
    for begun, done in _pair_runs(trace):
        line = trace.lines[begun.line]
        if not line.is_definite or line.leaves:
            continue
        for name, value in begun.changed.items():
            is_clear = value == done.changed.get(name) and (name in line.bound or not line.pauses)
            if value and is_clear and (name in line.changed or name in line.scope.names):
                yield _ask(line, begun.line, begun.turn, (f"{value.text}; {value.kind}",), name)
    for number, line, turn in _find_missing(trace):
        if not line.leaves:
            local = line.scope.names - line.scope.others
            for name in dict.fromkeys(each for each in line.changed if each in local):
                yield _ask(line, number, turn, (NIL,), name)


def _pair_runs(trace: Trace) -> Iterator[tuple[Step, Step]]:
    """Return, for each K, the run of a line that began K-th and the one that was done K-th."""
    done: dict[int, list[Step]] = defaultdict(list)
    for step in trace.done_steps:
        done[step.line].append(step)
    for step in trace.steps:
        yield step, done[step.line][step.turn - 1]


def _find_missing(trace: Trace) -> Iterator[tuple[int, Line, int]]:
    """Return for each line its first run that was possible and did not happen."""
    counts = Counter(step.line for step in trace.steps)
    lines = trace.lines
    calls = Counter(number for number, _ in {(lines[step.line].scope.number, step.frame) for step in trace.steps})
    for number, line in lines.items():
        if line.is_definite and (not counts[number] or line.may_repeat or calls[line.scope.number] > 1):
            yield number, line, counts[number] + 1


def name_step(trace: Trace, place: int) -> Iterator[str]:
    """Return the accepted names of the line at an index of a trace."""
    if place >= len(trace.steps):
        yield NO_LINE
        return
    line = trace.lines[trace.steps[place].line]
    yield line.text
    if line.decorator:
        yield line.decorator
    if line.is_try:
        # Entering a `try` does nothing.
        yield from name_step(trace, place + 1)


def _ask(line: Line, number: int, turn: int, answers: tuple[str, ...], variable: str = "") -> Question:
    ending = "th" if turn % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(turn % 10, "th")
    run = f"line {number} (`{line.text}`) has run for the {turn}{ending} time"
    asked = f"What are value and type of `{variable}` after" if variable else "Which line runs right after"
    return Question(f"{asked} {run}?", answers, number, turn)


def _split(answer: str) -> list[str]:
    if answer == NIL:
        return [NIL, NIL]
    value, _, kind = answer.rpartition("; ")
    return [kind, value]
