"""white_box: questions about a program's execution, after ExecVerify (arXiv 2603.11226).

The ground truth is a JSON object: `type` (`io_mixed`: the output of a call and questions about its run; `oi`: an input
that gives the output), `func_str`, `func_name`, `func_args` (source of the arguments), `result` (source of the value),
and for io_mixed `question_answers`: `path_answers`, the accepted lines of each question, and `state_as`, the accepted
[type, value] pairs of each. The answer's first line is the whole assertion; one line per question follows.
"""

from __future__ import annotations

import ast
import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rewards.builtin.white_box_cheats import make_cheats, make_reference
from rewards.errors import GroundTruthError
from rewards.parsing import answers
from rewards.parsing.assertion import calls_function, is_same_call, read_arguments, read_assertion, read_call
from rewards.parsing.literals import is_same
from rewards.parsing.source_values import NotValueError, is_identical, parse_expression, read_source
from rewards.programs.candidate import Call, Candidate, call_function
from rewards.reasons import explain
from rewards.registry import register
from rewards.sandbox import Limits

NIL = "Nil"
"""What a state question is answered with where the line is not executed so often."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known of a row."""

    is_reverse: bool
    code: str
    name: str
    call: str
    """Source of the row's own call."""
    value: Any
    assertion: str
    """The right assertion, as a text."""
    path: tuple[tuple[str, ...], ...]
    state: tuple[tuple[tuple[str, str], ...], ...]
    """Per question the accepted (type, value) pairs; NIL twice where there is no value."""


@register("white_box", reference=make_reference, cheats=make_cheats)
async def white_box(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: Mapping[str, Any],
    *,
    best: float = 2.0,
    format_bonus: float = 0.0,
    seconds: float = 2.0,
) -> dict[str, float]:
    """Half for the filled assertion, half for the share of path and state questions answered.

    Args:
        best: the score of a fully right answer.
        format_bonus: added where the response is one reasoning and one answer in their tags.
        seconds: CPU time of the row's function on an input that the response found.

    Raises:
        GroundTruthError: the row is broken.
    """
    truth = read_truth(ground_truth)
    lines = answers.take_lines(answers.take_answer(solution_str) or "")
    share = await _grade_reverse(lines, truth, seconds) if truth.is_reverse else _grade(lines, truth)
    well_formed = float(answers.is_well_formed(solution_str))
    return {"score": best * share + format_bonus * well_formed, "accuracy": share, "format": well_formed}


def read_truth(text: str) -> Truth:
    """The row's ground truth.

    Raises:
        GroundTruthError: it is not one that this reward reads.
    """
    if not isinstance(text, str):
        raise GroundTruthError(f"the ground truth is a {type(text).__name__}, expected JSON text")
    return _read_truth(text)


# A prompt's samples come one after another, and each would read the same truth.
@functools.lru_cache(maxsize=1024)
def _read_truth(text: str) -> Truth:
    try:
        row = json.loads(text)
    except ValueError as error:
        raise GroundTruthError(f"the ground truth is not JSON: {error}") from error
    if not isinstance(row, dict):
        raise GroundTruthError(f"the ground truth is a {type(row).__name__}, expected an object")
    missing = [name for name in ("type", "func_str", "func_name", "func_args", "result") if name not in row]
    if missing:
        raise GroundTruthError(f"the ground truth has no `{missing[0]}`")
    if row["type"] not in ("io_mixed", "oi"):
        raise GroundTruthError(f"`type` is {row['type']!r}, expected io_mixed or oi")
    result, name = str(row["result"]).strip(), str(row["func_name"]).strip()
    try:
        value = read_source(result)
    except NotValueError as error:
        raise GroundTruthError(f"`result` is {result[:80]!r}, expected the source of a plain value") from error
    call = f"{name}({str(row['func_args']).strip()})"
    is_reverse = row["type"] == "oi"
    path, state = ((), ()) if is_reverse else _read_questions(row.get("question_answers"))
    return Truth(is_reverse, str(row["func_str"]), name, call, value, f"assert {call} == {result}", path, state)


def _read_questions(given: Any) -> tuple[Any, Any]:
    try:
        path = tuple(tuple([str(line).strip() for line in accepted]) for accepted in given.get("path_answers") or [])
        state = tuple(tuple([_read_pair(pair) for pair in accepted]) for accepted in given.get("state_as") or [])
    except (AttributeError, TypeError, ValueError) as error:
        raise GroundTruthError(
            "`question_answers` is not of the form {path_answers: [[text, …], …], state_as: [[[type, value], …], …]}"
        ) from error
    if not all(path) or not all(state):
        raise GroundTruthError("`question_answers` has a question without an accepted answer")
    return path, state


def _read_pair(pair: Any) -> tuple[str, str]:
    if pair in (NIL, [NIL]):
        return (NIL, NIL)
    kind, value = (str(each).strip() for each in pair)
    # A text variable may well hold `Nil`.
    return (NIL, NIL) if NIL in (kind, value) and kind != "str" else (kind, value)


def _grade(lines: Sequence[str], truth: Truth) -> float:
    if not lines:
        explain("there is no answer")
        return 0.0
    if (wrong := _judge_assertion(lines[0], truth)) is not None:
        explain("{}: {}; expected {}", lines[0], wrong, truth.assertion)
        return 0.0
    count, given = len(truth.path) + len(truth.state), lines[1:]
    if not count:
        return 1.0
    if len(given) != count:
        explain("{} further answers, expected {}", len(given), count)
        return 0.5
    right = 0
    for number, (line, accepted) in enumerate(zip(given, truth.path, strict=False), 1):
        if line in accepted:
            right += 1
        else:
            explain("question {}: {}; expected {}", number, line, accepted[0])
    for number, (line, pairs) in enumerate(zip(given[len(truth.path) :], truth.state, strict=True), len(truth.path) + 1):
        if any(_is_right_state(line, kind, value) for kind, value in pairs):
            right += 1
        else:
            explain("question {}: {}; expected {}; {}", number, line, pairs[0][1], pairs[0][0])
    return 0.5 + 0.5 * right / count


def _judge_assertion(line: str, truth: Truth) -> str | None:
    """What is wrong with a filled assertion. It is never run: it must be the row's own call, `==`, and its value."""
    if line == truth.assertion:
        return None
    if _is_too_long(line, truth.assertion):
        return "it is too long"
    call = _read_right_value(line, truth)
    if isinstance(call, str):
        return call
    wanted = read_call(truth.call)
    if wanted is None:
        raise GroundTruthError(f"`func_args` makes no call: {truth.call[:80]!r}")
    return None if is_same_call(call, wanted, truth.code) else "the arguments are others"


def _read_right_value(line: str, truth: Truth) -> ast.Call | str:
    """The call of the row's function that an assertion says gives the row's value; or why it says no such thing."""
    assertion = read_assertion(line)
    if isinstance(assertion, str):
        return assertion
    if not is_identical(assertion.value, truth.value):
        return "the value is wrong"
    return assertion.call if calls_function(assertion.call, truth.name) else "it calls another function"


async def _grade_reverse(lines: Sequence[str], truth: Truth, seconds: float) -> float:
    """The row's own function, not what the response defines, is called with the arguments that were found."""
    if not lines:
        explain("there is no answer")
        return 0.0
    wrong = await _judge_found(lines[0], truth, seconds)
    if wrong is not None:
        explain("{}: {}; one that is right: {}", lines[0], wrong, truth.assertion)
    return float(wrong is None)


async def _judge_found(line: str, truth: Truth, seconds: float) -> str | None:
    if line == truth.assertion:
        return None
    call = _read_right_value(line, truth)
    if isinstance(call, str):
        return call
    own = read_call(truth.call)
    if own is not None and is_same_call(call, own, truth.code):
        return None
    found = read_arguments(call)
    if found is None:
        return "an argument is no plain value"
    limits = Limits(cpu_seconds=seconds, wall_seconds=max(10.0, 5 * seconds))
    outcomes = await call_function(Candidate(truth.code, truth.name), [Call(found.args, found.kwargs)], limits)
    if not outcomes[0].returned:
        return "the call does not return a plain value"
    return None if is_same(outcomes[0].value, truth.value) else f"the call returns {str(outcomes[0].value)[:200]}"


def _is_right_state(line: str, kind: str, wanted: str) -> bool:
    """`value; type`, both right; the value may hold `;` itself."""
    if line == f"{wanted}; {kind}":
        return True
    if kind == NIL:
        return line == NIL
    given, semicolon, given_kind = line.rpartition(";")
    return bool(semicolon) and given_kind.strip() == kind and _is_right_value(given.strip(), kind, wanted)


def _is_right_value(given: str, kind: str, wanted: str) -> bool:
    if given == wanted:
        return True
    if _is_too_long(given, wanted):
        return False
    value, expected = _read(given), _read(wanted)
    if kind == "str":
        # Text that reads as a value stands for that value; any other text for itself, as a string without quotes.
        text = expected[0] if expected and isinstance(expected[0], str) else wanted
        return bool((value[0] if value else given) == text)
    if not expected:
        return _is_same_expression(given, wanted)
    return bool(value) and is_identical(value, expected)


def _is_too_long(given: str, wanted: str) -> bool:
    """Whether it is longer than any other spelling of what is wanted could be: parsing what is hostile takes time."""
    return len(given) > 1000 + 4 * len(wanted)


def _read(text: str) -> tuple[Any, ...]:
    """The value that a text reads as, alone; nothing where it reads as none."""
    try:
        return (read_source(text),)
    except NotValueError:
        return ()


def _is_same_expression(given: str, wanted: str) -> bool:
    """For values without a literal, such as `deque([1, 2])`: the same syntax. `<object at …>` is the same text only."""
    one, other = parse_expression(given), parse_expression(wanted)
    return one is not None and other is not None and ast.dump(one) == ast.dump(other)
