"""apps: problems from introductory to competition level, tested by standard input or by calls of a function."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any, Literal, get_args

import msgspec

from preprocess.converters.shared.code_task import CodeTask, check_choice, make_converter
from preprocess.converters.shared.signatures import show_name
from preprocess.converters.shared.tests import PairOptions, read_json, read_pairs
from preprocess.errors import LeftOutError, RowError
from rewards.wording import count

_Difficulty = Literal["introductory", "interview", "competition"]
_DIFFICULTIES: tuple[_Difficulty, ...] = get_args(_Difficulty)


class Apps(msgspec.Struct):
    """A problem."""

    question: str
    input_output: str
    """A JSON object of lists, or empty."""
    solutions: str = ""
    """A JSON list of programs, or empty."""
    starter_code: str | None = None
    difficulty: str | None = None
    url: str | None = None


class AppsOptions(PairOptions, frozen=True, kw_only=True):
    """Options of APPS."""

    difficulty: Annotated[tuple[_Difficulty, ...], msgspec.Meta(min_length=1)] = _DIFFICULTIES
    """Leave out problems of other difficulties."""


def _read(record: Apps, options: AppsOptions) -> CodeTask:
    check_choice("difficulty", record.difficulty, (None, *options.difficulty), _DIFFICULTIES)
    solutions = [each for each in _read_solutions(record.solutions) if each.strip()]
    truth = None
    if record.input_output.strip():
        with suppress(LeftOutError):  # without tests, the problem may still have a solution for SFT
            text, keys = record.input_output, options.integer_keys
            truth = read_pairs(text, "input_output", options.max_tests, integer_keys=keys)
    return CodeTask(
        source="apps",
        statement=record.question,
        signature=_find_signature(record, truth),
        solution=_find_solution(solutions),
        unusable=RowError(f"none of its {count(len(solutions), 'solution')} is Python 3") if solutions else None,
        make_truth=lambda: truth,
        detail={"difficulty": record.difficulty or None, "url": record.url or None},
    )


def _find_signature(record: Apps, truth: dict[str, Any] | None) -> str | None:
    """Return the beginning of the function; None if standard input is read: without tests, if there is no starter code."""
    starter = (record.starter_code or "").strip()
    if truth is None:
        return starter or None
    return (starter or show_name(truth["fn_name"])) if "fn_name" in truth else None


def _read_solutions(text: str) -> list[str]:
    return list(read_json(text, list[str], "solutions")) if text.strip() else []


def _find_solution(programs: Sequence[str]) -> str | None:
    """Return the first solution in Python 3: the shortest ones are golfed."""
    return next((program for program in programs if _is_python(program)), None)


def _is_python(program: str) -> bool:
    try:
        ast.parse(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


APPS = make_converter(
    "apps", "APPS: problems from introductory to competition level, with their tests and solutions", Apps, AppsOptions, _read
)
