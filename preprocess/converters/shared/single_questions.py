"""One question about a run per row, as REval asks them: which of its lines run, what runs next, values of variables, output."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from preprocess.converters.shared import wording
from preprocess.rows import Message, RlRow
from preprocess.tracing.questions import NIL, NO_LINE, name_step
from preprocess.tracing.trace import Trace, Value

Kind = Literal["coverage", "path", "state", "output"]
_YES, _NO = ("YES", "Yes", "yes"), ("NO", "No", "no")
_MOST_ANSWERS = 20


@dataclass(frozen=True)
class SingleQuestion:
    """A question and the accepted answers; for `output`, an assertion to complete."""

    kind: Kind
    name: str
    """Unique among the questions about a trace."""
    text: str
    form: str
    """What the answer is."""
    answers: tuple[str, ...] = ()
    states: tuple[tuple[str, str], ...] = ()
    """Type and value."""

    def to_row(self, trace: Trace, source: str, problem: str, id_: str) -> RlRow:
        """Return the row for the reward white_box."""
        is_output = self.kind == "output"
        prompt = wording.ask_output(trace, []) if is_output else wording.ask_single(trace, self.text, self.form)
        questions: dict[str, Any] = {"path_answers": [list(self.answers)]} if self.answers else {}
        if self.states:
            questions = {"state_as": [[list(each) for each in self.states]]}
        truth = {
            "type": "io_mixed" if is_output else "question",
            "func_str": trace.code,
            "func_name": trace.function,
            "func_args": trace.args,
            "result": trace.value,
            "question_answers": questions,
        }
        return RlRow(
            problem=problem,
            id=f"{id_}/{self.name}",
            data_source=source,
            prompt=(Message("user", prompt),),
            ground_truth=truth,
            detail={"kind": self.kind},
        )


def ask_about(trace: Trace, number: int, variable: str) -> Iterator[SingleQuestion]:
    """Yield the questions about a line and a variable, except those whose answer the trace does not tell.

    A line that runs several times has several right answers.
    """
    line = trace.lines.get(number)
    if line is None or not line.is_definite:
        return
    ran = [step for step in trace.steps if step.line == number]
    shown, call = f"line {number} (`{line.text}`)", f"{trace.function}({trace.args})"
    yield SingleQuestion(
        "coverage",
        f"{number}/coverage",
        f"Does {shown} run during the call {call}?",
        "YES or NO",
        _YES if ran else _NO,
    )
    places = [place for step in ran for place in (step.place + 1, step.done) if place is not None]
    following = tuple(dict.fromkeys(text for place in places for text in name_step(trace, place))) or (NO_LINE,)
    if len(following) <= _MOST_ANSWERS:
        text = f"Which line can run right after {shown} during the call {call}?"
        yield SingleQuestion("path", f"{number}/path", text, "one such line as it stands, or -1 for none", following)
    states = _find_states(trace, number, variable) if ran else ((NIL, NIL),)
    if states and len(states) <= _MOST_ANSWERS:
        text = f"What can value and type of `{variable}` be after {shown} during the call {call}?"
        form = "`value; type` after one of its runs, or Nil if the line does not run"
        yield SingleQuestion("state", f"{number}/state", text, form, states=states)


def ask_return() -> SingleQuestion:
    """Return the question about the return value."""
    return SingleQuestion("output", "output", "", "")


def _find_states(trace: Trace, number: int, variable: str) -> tuple[tuple[str, str], ...]:
    """Return the types and values of a variable after the runs of a line; none if one of them is unknown."""
    known: dict[int, Value | None] = {}
    found: list[tuple[str, str]] = []
    for step in trace.done_steps:
        if variable in step.changed:
            known[step.frame] = step.changed[variable]
        if step.line == number:
            value = known.get(step.frame)
            if value is None:
                return ()
            found.append((value.kind, value.text))
    return tuple(dict.fromkeys(found))
