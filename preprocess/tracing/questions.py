"""A trace into questions about it, with the answers that are accepted."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from preprocess.tracing.trace import Trace

_LONGEST_VALUE = 60
NO_LINE = "-1"


@dataclass(frozen=True)
class Question:
    """One question and its accepted answers, the first of which is given as an example."""

    text: str
    answers: tuple[str, ...]


@dataclass(frozen=True)
class Questions:
    """What is asked about one trace, in this order."""

    path: tuple[Question, ...]
    """Which line is executed next."""
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
    path, state = _ask_path(trace), _ask_state(trace)
    chooser = random.Random(seed)
    states = min(len(state), count - min(len(path), count // 2))
    return Questions(_choose(path, min(len(path), count - states), chooser), _choose(state, states, chooser))


def _choose(questions: Sequence[Question], count: int, chooser: random.Random) -> tuple[Question, ...]:
    return tuple(questions[place] for place in sorted(chooser.sample(range(len(questions)), count)))


def _ask_path(trace: Trace) -> list[Question]:
    following = [trace.get_line(step.line) for step in trace.steps[1:]] + [NO_LINE]
    return [
        Question(f"Which line runs right after line {_name(trace, step.line, step.turn)}?", (line,))
        for step, line in zip(trace.steps, following, strict=True)
    ]


def _ask_state(trace: Trace) -> list[Question]:
    return [
        Question(
            f"What are value and type of `{name}` after line {_name(trace, step.line, step.turn)}?",
            (f"{value.text}; {value.kind}",),
        )
        for step in trace.steps
        for name, value in step.changed.items()
        if len(value.text) <= _LONGEST_VALUE
    ]


def _name(trace: Trace, line: int, turn: int) -> str:
    return f"{line} (`{trace.get_line(line)}`) has run for the {_ordinal(turn)} time"


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def _split(answer: str) -> list[str]:
    value, _, kind = answer.rpartition("; ")
    return [kind, value]
