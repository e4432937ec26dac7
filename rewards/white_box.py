"""white_box: questions about a program's execution, after ExecVerify (arXiv 2603.11226).

The ground truth is a JSON object: `type` (`io_mixed`: the output of a call and questions about its run; `oi`: an input
that gives the output), `func_str`, `func_name`, `func_args` (source of the arguments), `result` (source of the value),
and for io_mixed `question_answers`: `path_answers`, the accepted lines of each question, and `state_as`, the accepted
[type, value] pairs of each. The answer's first line is the whole assertion; one line per question follows.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from typing import Any

from rewards import answers
from rewards.candidate import Call, Candidate, call_function
from rewards.execution import Limits
from rewards.literals import NotLiteralError, is_same, read_literal
from rewards.registry import register

NIL = "Nil"
"""What a state question is answered with where the line is not executed so often."""


@register("white_box")
def white_box(
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
        ValueError, KeyError: the row is broken.
    """
    truth = json.loads(ground_truth)
    well_formed = float(answers.is_well_formed(solution_str))
    lines = answers.take_lines(answers.take_answer(solution_str) or "")
    share = _grade_reverse(lines, truth, seconds) if truth["type"] == "oi" else _grade(lines, truth)
    return {"score": best * share + format_bonus * well_formed, "accuracy": share, "format": well_formed}


def _grade(lines: Sequence[str], truth: Mapping[str, Any]) -> float:
    if not lines or not _is_right_assertion(lines[0], truth):
        return 0.0
    questions = truth["question_answers"]
    path, state = questions.get("path_answers", []), questions.get("state_as", [])
    count = len(path) + len(state)
    if not count:
        return 1.0
    given = lines[1:]
    if len(given) != count:
        return 0.5
    right = sum(line in [str(each).strip() for each in accepted] for line, accepted in zip(given, path, strict=False))
    right += sum(_is_right_state(line, accepted) for line, accepted in zip(given[len(path) :], state, strict=True))
    return 0.5 + 0.5 * right / count


def _is_right_assertion(line: str, truth: Mapping[str, Any]) -> bool:
    """Read as syntax and never run: `assert name(arguments) == literal` with the row's own call."""
    parts = read_assertion(line)
    if parts is None:
        return False
    call, value = parts
    wanted = ast.parse(f"{truth['func_name']}({truth['func_args']})", mode="eval").body
    return ast.dump(call) == ast.dump(wanted) and is_same(value, read_literal(str(truth["result"])))


def _grade_reverse(lines: Sequence[str], truth: Mapping[str, Any], seconds: float) -> float:
    """The row's own function, not what the response defines, is called with the arguments that were found."""
    parts = read_assertion(lines[0]) if lines else None
    wanted = read_literal(str(truth["result"]))
    if parts is None or not is_same(parts[1], wanted) or ast.unparse(parts[0].func) != truth["func_name"]:
        return 0.0
    try:
        args = tuple(read_literal(ast.unparse(arg)) for arg in parts[0].args)
        kwargs = tuple((str(each.arg), read_literal(ast.unparse(each.value))) for each in parts[0].keywords if each.arg)
    except (NotLiteralError, RecursionError):
        return 0.0
    if len(kwargs) != len(parts[0].keywords):
        return 0.0
    candidate = Candidate(str(truth["func_str"]), str(truth["func_name"]))
    limits = Limits(cpu_seconds=seconds, wall_seconds=5 * seconds)
    outcome = call_function(candidate, [Call(args, kwargs)], limits)[0]
    return float(outcome.returned and is_same(outcome.value, wanted))


def read_assertion(line: str) -> tuple[ast.Call, Any] | None:
    """The call and the value of `assert call == literal`; None for anything else."""
    try:
        body = ast.parse(line.strip()).body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
    test = body[0].test if len(body) == 1 and isinstance(body[0], ast.Assert) and body[0].msg is None else None
    if not (isinstance(test, ast.Compare) and isinstance(test.left, ast.Call) and len(test.comparators) == 1):
        return None
    if not isinstance(test.ops[0], ast.Eq):
        return None
    try:
        return test.left, read_literal(ast.unparse(test.comparators[0]))
    except (NotLiteralError, RecursionError):
        return None


def _is_right_state(line: str, accepted: Sequence[Sequence[str]]) -> bool:
    """`value; type`, both right for one of the accepted pairs; the value may hold `;` itself."""
    value, semicolon, kind = line.rpartition(";")
    if not semicolon:
        return line == NIL and any(NIL in pair for pair in accepted)
    return any(kind.strip() == each[0].strip() and _is_right_value(value.strip(), *each) for each in accepted)


def _is_right_value(given: str, kind: str, wanted: str) -> bool:
    expected = _read(wanted, kind)
    return is_same(_read(given, kind), expected)


def _read(text: str, kind: str) -> Any:
    """A literal's value; text that is none stands for itself, as a string without its quotes does."""
    try:
        value = read_literal(text)
    except NotLiteralError:
        return text
    return text if kind.strip() == "str" and not isinstance(value, str) else value
