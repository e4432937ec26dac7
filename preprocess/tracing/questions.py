"""A trace into questions about it, with the answers that are accepted.

What the questions mean is said in docs/tracing.md. A line that calls a function of the program begins before that function's
lines and is done after them, so "right after it has run" can be read in two ways, and so can "for the 2nd time" where runs
of one line lie within each other, as in a recursion. The answers of all readings are accepted; what has more than two is
not asked.
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
"""No line runs after it, or it did not run so often."""
NIL = "Nil"
"""The variable has no value then, or the line did not run so often."""
_NOTHING_CHANCE = 0.25
"""That the next question is one whose answer is `-1` or `Nil`, where there is a choice and the last was not: a fifth of all.
Always to say so earns little, and so does never to say so."""
_MOST_ANSWERS = 2


@dataclass(frozen=True)
class Question:
    """One question and its accepted answers, the first of which is given as an example."""

    text: str
    answers: tuple[str, ...]
    line: int
    turn: int

    @property
    def is_of_nothing(self) -> bool:
        """Whether to say that there is nothing is right."""
        return NO_LINE in self.answers or NIL in self.answers


@dataclass(frozen=True)
class Questions:
    """What is asked about one trace, in this order."""

    path: tuple[Question, ...]
    """Which line runs next."""
    state: tuple[Question, ...]
    """Value and type of a variable: answers of the form `value; type`."""

    @property
    def all(self) -> tuple[Question, ...]:
        """Path questions, then state questions."""
        return self.path + self.state

    def to_truth(self) -> dict[str, Any]:
        """`question_answers` as the white_box reward reads it."""
        return {
            "path_answers": [list(each.answers) for each in self.path],
            "state_as": [[_split(answer) for answer in each.answers] for each in self.state],
        }


def ask(trace: Trace, count: int, seed: str) -> Questions:
    """At most `count` questions, half on paths and half on states as far as there are such; the same for a seed."""
    chooser = random.Random(seed)
    path, state = (_put_in_order(list(each), chooser) for each in (_ask_path(trace), _ask_state(trace)))
    states = min(len(state), count - min(len(path), count // 2))
    return Questions(_take(path, count - states), _take(state, states))


def _put_in_order(questions: list[Question], chooser: random.Random) -> list[Question]:
    """The questions in the order in which they are taken: every line has its turn before one has another."""
    chooser.shuffle(questions)
    seen: dict[int, int] = defaultdict(int)
    ranks = {}
    for each in questions:
        ranks[each] = seen[each.line]
        seen[each.line] += 1
    questions.sort(key=ranks.__getitem__, reverse=True)
    nothing = [each for each in questions if each.is_of_nothing]
    something = [each for each in questions if not each.is_of_nothing]
    order: list[Question] = []
    while True:
        may_be_nothing = nothing and not (order and order[-1].is_of_nothing)
        pool = nothing if may_be_nothing and chooser.random() < _NOTHING_CHANCE else something
        if not pool:
            return order
        order.append(pool.pop())


def _take(questions: Sequence[Question], count: int) -> tuple[Question, ...]:
    return tuple(sorted(questions[:count], key=lambda each: (each.line, each.turn, each.text)))


def _ask_path(trace: Trace) -> Iterator[Question]:
    for begun, done in _pair_runs(trace):
        line = trace.source.lines[begun.line]
        places = [begun.place + 1, *(each.done for each in (begun, done) if each.done is not None)]
        answers = tuple(dict.fromkeys(text for place in places for text in _name_step(trace, place)))
        if line.is_definite and len(answers) <= _MOST_ANSWERS:
            yield _ask_next(line, begun.line, begun.turn, answers)
    for number, line, turn in _find_missing(trace):
        yield _ask_next(line, number, turn, (NO_LINE,))


def _ask_state(trace: Trace) -> Iterator[Question]:
    for begun, done in _pair_runs(trace):
        line = trace.source.lines[begun.line]
        if not line.is_definite or line.leaves:
            continue
        for name, value in begun.changed.items():
            is_clear = value == done.changed.get(name) and (name in line.bound or not line.pauses)
            if value and is_clear and (name in line.changed or name in line.scope.names):
                yield _ask_value(line, begun.line, begun.turn, name, f"{value.text}; {value.kind}")
    for number, line, turn in _find_missing(trace):
        if not line.leaves:
            for name in dict.fromkeys(each for each in line.changed if line.scope.owns(each)):
                yield _ask_value(line, number, turn, name, NIL)


def _pair_runs(trace: Trace) -> Iterator[tuple[Step, Step]]:
    """For each K the run of a line that was the K-th to begin, and the one that was the K-th to be done."""
    done: dict[int, list[Step]] = defaultdict(list)
    for step in trace.done_steps:
        done[step.line].append(step)
    for step in trace.steps:
        yield step, done[step.line][step.turn - 1]


def _find_missing(trace: Trace) -> Iterator[tuple[int, Line, int]]:
    """For each line the first turn that it might have had and did not."""
    counts = Counter(step.line for step in trace.steps)
    lines = trace.source.lines
    calls = Counter(number for number, _ in {(lines[step.line].scope.number, step.frame) for step in trace.steps})
    for number, line in lines.items():
        if line.is_definite and (not counts[number] or line.may_repeat or calls[line.scope.number] > 1):
            yield number, line, counts[number] + 1


def _name_step(trace: Trace, place: int) -> Iterator[str]:
    """What the line at a place of a trace may be called."""
    if place >= len(trace.steps):
        yield NO_LINE
        return
    line = trace.source.lines[trace.steps[place].line]
    yield line.text
    if line.decorator:
        yield line.decorator
    if line.is_try:
        # To enter a `try` does nothing.
        yield from _name_step(trace, place + 1)


def _ask_next(line: Line, number: int, turn: int, answers: tuple[str, ...]) -> Question:
    return Question(f"Which line runs right after line {_describe(line, number, turn)}?", answers, number, turn)


def _ask_value(line: Line, number: int, turn: int, name: str, answer: str) -> Question:
    text = f"What are value and type of `{name}` after line {_describe(line, number, turn)}?"
    return Question(text, (answer,), number, turn)


def _describe(line: Line, number: int, turn: int) -> str:
    return f"{number} (`{line.text}`) has run for the {_ordinal(turn)} time"


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _split(answer: str) -> list[str]:
    if answer == NIL:
        return [NIL, NIL]
    value, _, kind = answer.rpartition("; ")
    return [kind, value]
