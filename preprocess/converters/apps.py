"""apps: APPS' problems, from introductory exercises to competitions, tested by standard input or by calls of a function."""

from __future__ import annotations

import ast
from typing import Any, Literal

import msgspec

from preprocess.converters.shared.code_task import CodeOptions, CodeTask, make_converter
from preprocess.converters.shared.signatures import show_name
from preprocess.converters.shared.tests import read_pairs
from preprocess.errors import LeftOutError, RowError
from preprocess.sources.decoding import describe

Difficulty = Literal["introductory", "interview", "competition"]

_PROGRAMS = msgspec.json.Decoder(list[str])


class Apps(msgspec.Struct):
    """A problem."""

    question: str
    input_output: str
    """A JSON object of lists, or nothing."""
    solutions: str = ""
    """A JSON list of programs, or nothing."""
    starter_code: str | None = None
    difficulty: str | None = None
    url: str | None = None


class AppsOptions(CodeOptions, frozen=True, kw_only=True):
    """Which problems are taken."""

    difficulty: tuple[Difficulty, ...] = ("introductory", "interview", "competition")
    """Leaves out problems of others."""


def _read(record: Apps, options: AppsOptions) -> CodeTask:
    if record.difficulty not in (None, *options.difficulty):
        raise LeftOutError(f"its difficulty is {record.difficulty}")
    truth = _read_tests(record, options)
    facts = {"difficulty": record.difficulty, "url": record.url}
    return CodeTask(
        source="apps",
        statement=record.question,
        signature=_find_signature(record, truth),
        solution=_find_solution(record.solutions),
        make_truth=lambda: _take_truth(truth),
        detail={name: value for name, value in facts.items() if value},
    )


def _read_tests(record: Apps, options: AppsOptions) -> dict[str, Any] | None:
    """None where there are none: there may be a solution to learn from all the same."""
    if not record.input_output.strip():
        return None
    try:
        return read_pairs(record.input_output, "input_output", options.max_tests)
    except LeftOutError:
        return None


def _find_signature(record: Apps, truth: dict[str, Any] | None) -> str | None:
    """How the program begins, where a function is called; without tests the starter code says whether one is."""
    starter = (record.starter_code or "").strip()
    if truth is None:
        return starter or None
    return (starter or show_name(truth["fn_name"])) if "fn_name" in truth else None


def _find_solution(text: str) -> str | None:
    """The first that is Python 3: the shortest are golfed."""
    if not text.strip():
        return None
    try:
        programs = _PROGRAMS.decode(text)
    except msgspec.MsgspecError as error:
        raise RowError(f"solutions: {describe(str(error), Apps)}") from error
    return next((program for program in programs if _is_python(program)), None)


def _is_python(program: str) -> bool:
    try:
        ast.parse(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return bool(program.strip())


def _take_truth(truth: dict[str, Any] | None) -> dict[str, Any]:
    if truth is None:
        raise LeftOutError("it has no tests")
    return truth


APPS = make_converter(
    "apps",
    "APPS: problems from introductory to competition level, with their tests and solutions",
    Apps,
    AppsOptions,
    _read,
)
