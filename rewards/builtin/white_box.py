"""white_box: questions about a program's execution, as in ExecVerify (arXiv 2603.11226).

The ground truth is a JSON object: `type` (`io_mixed`: find the output of a call and answer questions about its run; `oi`:
find an input for the output), `func_str`, `func_name`, `func_args` (source of the arguments), `result` (source of the value),
and for io_mixed `question_answers`: for each question the accepted lines in `path_answers`, or the accepted [type, value]
pairs in `state_as`. The first line of the answer is the whole assertion, followed by one line per question.
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
from rewards.programs.candidate import Candidate, call_function, pack_arguments
from rewards.reasons import explain
from rewards.registry import register
from rewards.sandbox import Limits

NIL = "Nil"
"""Answer to a state question if the line is not executed that often."""


@dataclass(frozen=True, slots=True)
class Truth:
    """The parsed ground truth of a row."""

    asks_input: bool
    code: str
    name: str
    call: str
    """Source of the row's call."""
    value: Any
    assertion: str
    """Source of the right assertion."""
    path: tuple[tuple[str, ...], ...]
    state: tuple[tuple[tuple[str, str], ...], ...]
    """Per question the accepted (type, value) pairs; (NIL, NIL) without a value."""


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
    """Score half for the assertion, and half for the share of path and state questions answered.

    Args:
        best: Score of a fully right answer.
        format_bonus: Added if the response is one reasoning and one answer in their tags.
        seconds: CPU time of the row's function on an input from the response.

    Raises:
        GroundTruthError: The row is invalid.
    """
    if not isinstance(ground_truth, str):
        raise GroundTruthError(f"the ground truth is a {type(ground_truth).__name__}, expected JSON text")
    truth = _read_truth(ground_truth)
    lines = answers.take_lines(answers.take_answer(solution_str) or "")
    share = await _grade_input(lines, truth, seconds) if truth.asks_input else _grade(lines, truth)
    well_formed = float(answers.is_well_formed(solution_str))
    return {"score": best * share + format_bonus * well_formed, "accuracy": share, "format": well_formed}


# All samples of a prompt have the same ground truth.
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
    asks_input = row["type"] == "oi"
    path, state = ((), ()) if asks_input else _read_questions(row.get("question_answers"))
    return Truth(asks_input, str(row["func_str"]), name, call, value, f"assert {call} == {result}", path, state)


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
    # The value of a string may be `Nil`.
    return (NIL, NIL) if NIL in (kind, value) and kind != "str" else (kind, value)


def _grade(lines: Sequence[str], truth: Truth) -> float:
    if not lines:
        explain("no answer in the response")
        return 0.0
    if (wrong := _check_assertion(lines[0], truth)) is not None:
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


def _check_assertion(line: str, truth: Truth) -> str | None:
    """Return what is wrong with an assertion, or None. It must be the row's call, `==` and its value, and is never run."""
    if line == truth.assertion:
        return None
    if _is_too_long(line, truth.assertion):
        return "it is too long"
    call = _read_right_value(line, truth)
    if isinstance(call, str):
        return call
    expected = read_call(truth.call)
    if expected is None:
        raise GroundTruthError(f"`func_args` does not make a call: {truth.call[:80]!r}")
    return None if is_same_call(call, expected, truth.code) else "the arguments differ"


def _read_right_value(line: str, truth: Truth) -> ast.Call | str:
    """Return the call in an assertion of the row's function and value, or what is wrong with it."""
    assertion = read_assertion(line)
    if isinstance(assertion, str):
        return assertion
    if not is_identical(assertion.value, truth.value):
        return "the value is wrong"
    return assertion.call if calls_function(assertion.call, truth.name) else "it calls another function"


async def _grade_input(lines: Sequence[str], truth: Truth, seconds: float) -> float:
    """Call the row's function, not one defined in the response, with the arguments in the answer."""
    if not lines:
        explain("no answer in the response")
        return 0.0
    wrong = await _check_input(lines[0], truth, seconds)
    if wrong is not None:
        explain("{}: {}; a correct answer: {}", lines[0], wrong, truth.assertion)
    return float(wrong is None)


async def _check_input(line: str, truth: Truth, seconds: float) -> str | None:
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
        return "an argument is not a plain value"
    limits = Limits(cpu_seconds=seconds, wall_seconds=max(10.0, 5 * seconds))
    outcomes = await call_function(Candidate(truth.code, truth.name), [pack_arguments(found)], limits)
    if not outcomes[0].returned:
        return "the call does not return a plain value"
    return None if is_same(outcomes[0].value, truth.value) else f"the call returns {str(outcomes[0].value)[:200]}"


def _is_right_state(line: str, kind: str, expected: str) -> bool:
    """Check `value; type`. The value may contain `;`."""
    if line == f"{expected}; {kind}":
        return True
    if kind == NIL:
        return line == NIL
    given, semicolon, given_kind = line.rpartition(";")
    return bool(semicolon) and given_kind.strip() == kind and _is_right_value(given.strip(), kind, expected)


def _is_right_value(given: str, kind: str, expected: str) -> bool:
    if given == expected:
        return True
    if _is_too_long(given, expected):
        return False
    value, expected_value = _read(given), _read(expected)
    if kind == "str":
        # Text that parses as a value is that value. Other text is a string without quotes.
        text = expected_value[0] if expected_value and isinstance(expected_value[0], str) else expected
        return bool((value[0] if value else given) == text)
    if expected_value:
        return is_identical(value, expected_value)
    # A value without a literal, such as `deque([1, 2])`, is compared by syntax. `<object at …>` only equals itself.
    one, other = parse_expression(given), parse_expression(expected)
    return one is not None and other is not None and ast.dump(one) == ast.dump(other)


def _is_too_long(given: str, expected: str) -> bool:
    """Check for text longer than any spelling of the expected value, because parsing hostile text takes time."""
    return len(given) > 1000 + 4 * len(expected)


def _read(text: str) -> tuple[Any, ...]:
    """Return the value of a text in a tuple, or an empty tuple if it is not a value."""
    try:
        return (read_source(text),)
    except NotValueError:
        return ()
