"""white_box: questions about a program's execution, as in ExecVerify (arXiv 2603.11226).

The ground truth is a JSON object: `type` (`io_mixed`: find the output of a call and answer questions about its run; `oi`:
find an input for the output), `func_str`, `func_name`, `func_args` (source of the arguments), `result` (source of the value),
and for io_mixed `question_answers`: for each question the accepted lines in `path_answers`, or the accepted [type, value]
pairs in `state_as`. The first line of the answer is the whole assertion, followed by one line per question. The answer
of `oi` is the assertion alone, or a program that ends with it, as the published prompts ask for. The type `question` has
questions as io_mixed, and no assertion.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from rewards.builtin.option_ranges import check_ranges
from rewards.builtin.white_box_rows import NIL, Truth, make_cheats, make_reference, read_truth, write_answer
from rewards.errors import GroundTruthError
from rewards.parsing import answers
from rewards.parsing.assertion import (
    calls_function,
    is_same_call,
    read_arguments,
    read_assertion,
    read_call,
    read_last_assertion,
)
from rewards.parsing.source_values import NotValueError, is_identical, is_same, parse_expression, read_source
from rewards.programs.candidate import call_function, pack_arguments
from rewards.reasons import explain, show
from rewards.registry import register
from rewards.sandbox import Limits
from rewards.wording import kind_of

_SPARE_OUTPUT = 16_000
_PACKED = 8
"""Most bytes in a report for a character of a value's source."""


@register("white_box", reference=make_reference, cheats=make_cheats, check=check_ranges)
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
    """Score half for the assertion, and half for the share of path and state questions answered; or questions alone.

    Args:
        best: Score of a fully right answer.
        format_bonus: Added if the response is one reasoning and one answer in their tags.
        seconds: CPU time of the row's function on an input from the response.

    Raises:
        GroundTruthError: The row is invalid.
    """
    if not isinstance(ground_truth, str):
        raise GroundTruthError(f"the ground truth is {kind_of(ground_truth)}, expected JSON text")
    truth = read_truth(ground_truth)
    share = await _grade(solution_str, truth, seconds)
    well_formed = float(answers.is_well_formed(solution_str))
    return {"score": best * share + format_bonus * well_formed, "accuracy": share, "format": well_formed}


async def _grade(response: str, truth: Truth, seconds: float) -> float:
    lines = answers.take_lines(answers.take_answer(response) or "")
    if not lines:
        explain("no answer in the response")
        return 0.0
    if truth.asks_assertion and not await _accepts_assertion(response, lines, truth, seconds):
        return 0.0
    base, given = (0.5, lines[1:]) if truth.asks_assertion else (0.0, lines)
    count = len(truth.questions)
    if not count:
        return 1.0
    if len(given) != count:
        explain("{} further answers, expected {}", len(given), count)
        return base
    right = 0
    for number, (line, accepted) in enumerate(zip(given, truth.questions, strict=True), 1):
        if any(line.strip() == each if isinstance(each, str) else _is_right_state(line, *each) for each in accepted):
            right += 1
        else:
            explain("question {}: {}; expected {}", number, line, write_answer(accepted[0]))
    return base + (1 - base) * right / count


async def _accepts_assertion(response: str, lines: Sequence[str], truth: Truth, seconds: float) -> bool:
    if truth.asks_input:
        program = _take_program(response, lines)
        shown, assertion = program.strip().rpartition("\n")[2], read_last_assertion(program)
    else:
        shown = lines[0].strip()
        assertion = "it is too long" if _is_too_long(shown, truth.assertion) else read_assertion(shown)
    wrong = assertion if isinstance(assertion, str) else await _check_assertion(*assertion, truth, seconds)
    if wrong is not None:
        expected = "a correct answer:" if truth.asks_input else "expected"
        explain("{}: {}; {} {}", shown, wrong, expected, truth.assertion)
    return wrong is None


def _take_program(response: str, lines: Sequence[str]) -> str:
    """Return the block that ends with the assertion: the last one; the whole answer if that has no assertion."""
    blocks = answers.take_blocks(response)
    marked = [each for each in blocks if each.is_python] or blocks
    return marked[-1].text if marked and "assert" in marked[-1].text else "\n".join(lines)


async def _check_assertion(call: ast.Call, value: Any, truth: Truth, seconds: float) -> str | None:
    """Return what is wrong with an assertion, or None. It must be of the row's function and value, and is never run.

    The arguments must be the row's. If the row asks for an input, the row's function, not one defined in the response, is
    called with other arguments.
    """
    if not is_identical(value, truth.value):
        return "the value is wrong"
    if not calls_function(call, truth.name):
        return "it calls another function"
    expected = read_call(truth.call)
    if expected is not None and is_same_call(call, expected, truth.code):
        return None
    if not truth.asks_input:
        if expected is None:
            raise GroundTruthError(f"`func_args` does not make a call: {truth.call[:80]!r}")
        return "the arguments differ"
    arguments = read_arguments(call)
    if arguments is None:
        return "an argument is not a plain value"
    # A longer value is not the expected one.
    longest = _SPARE_OUTPUT + _PACKED * len(truth.assertion)
    limits = Limits(cpu_seconds=seconds, wall_seconds=max(10.0, 5 * seconds)).allow_output(longest)
    (outcome,) = await call_function(truth.code, truth.name, [pack_arguments(arguments)], limits)
    if not outcome.returned:
        return "the call does not return a plain value"
    return None if is_same(outcome.value, truth.value) else f"the call returns {show(outcome.value)}"


def _is_right_state(line: str, kind: str, expected: str) -> bool:
    """Check `value; type`. The value may contain `;`."""
    if line == f"{expected}; {kind}":
        return True
    if kind == NIL:
        return line.strip() == NIL
    given, semicolon, given_kind = line.rpartition(";")
    if not semicolon or given_kind.strip() != kind:
        return False
    return _is_right_text(given, expected) if kind == "str" else _is_right_value(given.strip(), expected)


def _is_right_text(given: str, expected: str) -> bool:
    """Check a string, written as a literal or without quotes, unless it then is another value.

    Spaces at its ends belong to it. Around a text that has none, they are ignored.
    """
    if given == expected:
        return True
    if _is_too_long(given, expected):
        return False
    value, literal = _read(given), _read(expected)
    texts = [expected, *(each for each in literal if isinstance(each, str))]
    if value:
        return value[0] in texts
    # Without quotes, a line break can only be written with an escape.
    return given.strip() in texts or given in [repr(text)[1:-1] for text in texts]


def _is_right_value(given: str, expected: str) -> bool:
    if given == expected:
        return True
    if _is_too_long(given, expected):
        return False
    value, expected_value = _read(given), _read(expected)
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
