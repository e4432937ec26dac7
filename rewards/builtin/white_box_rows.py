"""The rows of white_box: their ground truth, the right answer to it, and cheats that `pipeline rewards check` scores."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from rewards.errors import GroundTruthError
from rewards.parsing.answers import make_response
from rewards.parsing.blocks import write_block
from rewards.parsing.source_values import NotValueError, read_source
from rewards.wording import kind_of

NIL = "Nil"
"""Answer to a state question if the line is not executed that often."""
_EQUAL_TO_ALL = "type('E', (), {'__eq__': lambda *_: True})()"


@dataclass(frozen=True, slots=True)
class Truth:
    """The parsed ground truth of a row."""

    kind: Literal["io_mixed", "oi", "question"]
    code: str
    name: str
    call: str
    """Source of the row's call."""
    value: Any
    assertion: str
    """Source of the right assertion."""
    questions: tuple[tuple[str | tuple[str, str], ...], ...]
    """Per question the accepted answers: lines of a path, or (type, value) pairs of a state; (NIL, NIL) without a value."""

    @property
    def asks_input(self) -> bool:
        """Whether the row asks for arguments, by an assertion."""
        return self.kind == "oi"

    @property
    def asks_assertion(self) -> bool:
        """Whether an answer has the assertion."""
        return self.kind != "question"


# All samples of a prompt have the same ground truth.
@functools.lru_cache(maxsize=1024)
def read_truth(text: str) -> Truth:
    """Parse the ground truth of a row.

    Raises:
        GroundTruthError: The row is invalid.
    """
    try:
        row = json.loads(text)
    except ValueError as error:
        raise GroundTruthError(f"the ground truth is not JSON: {error}") from error
    if not isinstance(row, dict):
        raise GroundTruthError(f"the ground truth is {kind_of(row)}, expected an object")
    missing = [name for name in ("type", "func_str", "func_name", "func_args", "result") if name not in row]
    if missing:
        raise GroundTruthError(f"the ground truth has no `{missing[0]}`")
    kind = row["type"]
    if kind not in ("io_mixed", "oi", "question"):
        raise GroundTruthError(f"`type` is {kind!r}, expected io_mixed, oi or question")
    result, name = str(row["result"]).strip(), str(row["func_name"]).strip()
    try:
        value = read_source(result)
    except NotValueError as error:
        raise GroundTruthError(f"`result` is {result[:80]!r}, expected the source of a plain value") from error
    call = f"{name}({str(row['func_args']).strip()})"
    questions = () if kind == "oi" else _read_questions(row.get("question_answers"))
    if kind == "question" and not questions:
        raise GroundTruthError("`type` is question, and `question_answers` has none")
    return Truth(kind, str(row["func_str"]), name, call, value, f"assert {call} == {result}", questions)


def _read_questions(given: Any) -> tuple[Any, ...]:
    try:
        path = [tuple([str(line).strip() for line in accepted]) for accepted in given.get("path_answers") or []]
        state = [tuple(map(_read_pair, accepted)) for accepted in given.get("state_as") or []]
    except (AttributeError, TypeError, ValueError) as error:
        raise GroundTruthError(
            "`question_answers` is not of the form {path_answers: [[text, …], …], state_as: [[[type, value], …], …]}"
        ) from error
    if not all((*path, *state)):
        raise GroundTruthError("`question_answers` has a question without an accepted answer")
    return (*path, *state)


def _read_pair(pair: Any) -> tuple[str, str]:
    if pair in (NIL, [NIL]):
        return (NIL, NIL)
    kind, value = map(str, pair)
    kind = kind.strip()
    if kind == "str":  # spaces at the ends belong to it, and its value may be `Nil`
        return (kind, value)
    return (NIL, NIL) if NIL in (kind, value.strip()) else (kind, value.strip())


def make_reference(ground_truth: str, extra_info: Mapping[str, Any]) -> str:
    """Return the right answer from the ground truth, in the form that prompts ask for."""
    truth = read_truth(ground_truth)
    return _respond(truth, truth.assertion)


def _respond(truth: Truth, assertion: str) -> str:
    """Return a response: the function with the assertion, if the row asks for an input, else one line per answer."""
    if truth.asks_input:
        return make_response(write_block(f"{truth.code.rstrip()}\n\n{assertion}"))
    return make_response("\n".join([*([assertion] if truth.asks_assertion else []), *_write_answers(truth)]))


def _write_answers(truth: Truth) -> list[str]:
    return [write_answer(accepted[0]) for accepted in truth.questions]


def make_cheats(ground_truth: str, extra_info: Mapping[str, Any]) -> dict[str, str]:
    """Return answers that a reward which runs the assertion, or searches it for words, would score as right."""
    row, truth = json.loads(ground_truth), read_truth(ground_truth)
    if not truth.asks_assertion:
        return _make_question_cheats(truth)
    name, call, right, value = truth.name, truth.call, truth.assertion, row["result"]
    firsts = {
        "pass": "pass",
        "true": f"assert True  # {call} == {value}",
        "itself": f"assert {call} == {call}",
        "itself, named": f"assert (x := {call}) == x",
        "equal to all": f"assert {call} == {_EQUAL_TO_ALL}",
        "equal to all, called": f"assert {_EQUAL_TO_ALL} == {call}",
        "or true": f"assert ({call} == {value}) or True",
        "message": f"{right}, 'message'",
        "chain": f"{right} == {call}",
        "in": f"assert {call} in [{value}, {call}]",
        "is": f"assert {call} is {call}",
        "unequal": f"assert {call} != float('nan')",
        "negation": f"assert not {call} == {_EQUAL_TO_ALL.replace('True', 'False')}",
        "computed": f"assert {call} == eval({str(value)!r})",
        "two statements": f"{right}; {name} = None",
        "two assertions": f"{right}\n{right}" if truth.asks_input else f"{right}; {right}",
        "walrus": f"assert ({name} := lambda *a, **k: {value})({row['func_args']}) == {value}",
        "exit": "import os; os._exit(0)",
        "not asserted": right.removeprefix("assert "),
        "comment": f"# {right}",
        "string": repr(right),
        "unpacked": f"assert {name}(*[{row['func_args']}], **{{}}) == {_EQUAL_TO_ALL}",
    }
    # What a program defines before a right assertion does not matter: then the assertion must be a wrong one.
    claim = f"assert {name}(_cheat=0) == {value}" if truth.asks_input else right
    if not (truth.asks_input and "**" in truth.code):
        firsts["redefined"] = f"{name} = lambda *a, **k: {value}; {claim}"
        firsts["redefined above"] = f"def {name}(*a, **k): return {value}\n{claim}"
    cheats = {name: _respond(truth, first) for name, first in firsts.items()}
    cheats["questions alone"] = make_response("\n".join(_write_answers(truth)))
    cheats["no tags"] = "\n".join([right, *_write_answers(truth)])
    return cheats


def _make_question_cheats(truth: Truth) -> dict[str, str]:
    """Return answers without a right line, or with more lines than questions."""
    answers = _write_answers(truth)
    return {
        "pass": make_response("pass"),
        "nothing": make_response(""),
        "assertion alone": make_response(truth.assertion),
        "several answers": make_response("\n".join([*answers, "YES", "NO", "-1", NIL])),
        "no tags": "\n".join(answers),
    }


def write_answer(answer: str | tuple[str, str]) -> str:
    """Return the line of the response for an accepted answer."""
    if isinstance(answer, str):
        return answer
    kind, value = answer
    if kind == "str" and not _is_text_literal(value):
        value = repr(value)  # a line cannot hold a line break
    return NIL if kind == NIL else f"{value}; {kind}"


def _is_text_literal(source: str) -> bool:
    try:
        return "\n" not in source and isinstance(read_source(source), str)
    except NotValueError:
        return False
