"""reval: the functions of REval (DREval), with one question per row about the run of a call."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from preprocess.converters.base import Converter, Options
from preprocess.converters.shared.single_questions import ask_about, ask_return
from preprocess.errors import LeftOutError, RowError, SourceError
from preprocess.rows import RlRow
from preprocess.sources.reading import Record, read_text
from preprocess.tracing.trace import trace
from rewards.wording import count

_DATA, _TASKS = "DREval_data.jsonl", "DREval_tasks.jsonl"
_MAX_STEPS = 5000


class Point(msgspec.Struct, gc=False):
    """What is asked about."""

    lineno: int
    var: str


class Pair(msgspec.Struct, gc=False):
    """The points about one input."""

    input_idx: int
    task: list[Point]


class Tasks(msgspec.Struct, gc=False):
    """A line of DREval_tasks.jsonl."""

    tasks: list[Pair]


class Program(msgspec.Struct, gc=False):
    """A line of DREval_data.jsonl."""

    task_id: str
    entry_point: str
    code: str
    inputs: list[str]
    """Per input the source of a tuple of arguments."""
    test: str | None = None
    """A unit test, if the program is a class."""


class Questioned(msgspec.Struct, gc=False):
    """A program with one input and the points about it; without points, a program that is left out."""

    program: Program
    points: list[Point]
    input_idx: int = -1


def read_records(source: Path, options: Options) -> Iterator[Record]:
    """Read the two files of a folder, a record per program and input; raise SourceError."""
    if not source.is_dir() or not (source / _DATA).is_file() or not (source / _TASKS).is_file():
        raise SourceError(f"source {source}: expected a folder with {_DATA} and {_TASKS}")
    path = source / _DATA
    programs = _read_lines(path, Program)
    tasks = _read_lines(source / _TASKS, Tasks)
    if len(programs) != len(tasks):
        raise SourceError(f"{path} has {len(programs):,} programs, {_TASKS} {len(tasks):,}: they are of different versions")
    for line, (program, each) in enumerate(zip(programs, tasks, strict=True), 1):
        pairs = each.tasks if program.test is None else []
        found = [Questioned(program, pair.task, pair.input_idx) for pair in pairs] or [Questioned(program, [])]
        for record in found:
            yield Record(line, msgspec.json.encode(record), path=str(path))


def _read_lines(path: Path, kind: type[Any]) -> list[Any]:
    lines = [line for line in read_text(path).split("\n") if line.strip()]
    try:
        return [msgspec.json.decode(line, type=kind) for line in lines]
    except msgspec.MsgspecError as error:
        raise SourceError(f"{path}: {error}") from None


def _rl(record: Questioned, options: Options) -> Iterable[RlRow]:
    program = record.program
    if program.test is not None:
        raise LeftOutError("it is a class with a unit test, not a function")
    if not record.points:
        raise LeftOutError("nothing is asked about it")
    if record.input_idx >= len(program.inputs):
        raise RowError(f"input_idx is {record.input_idx}, expected a place among {count(len(program.inputs), 'input')}")
    traced = trace(program.code, program.entry_point, _read_arguments(program.inputs[record.input_idx]), _MAX_STEPS)
    name = f"{program.task_id}/{record.input_idx}"
    questions = [ask_return(), *(each for point in record.points for each in ask_about(traced, point.lineno, point.var))]
    return [question.to_row(traced, "reval", program.task_id, name) for question in questions]


def _read_arguments(source: str) -> str:
    try:
        tree = ast.parse(source.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        tree = ast.Constant(None)
    if not isinstance(tree, ast.Tuple):
        raise RowError(f"an input is {source[:80]!r}, expected a tuple of arguments")
    return ", ".join(map(ast.unparse, tree.elts))


REVAL = Converter(
    "reval",
    "REval: one question per row on coverage, path, state and output, for the white_box reward",
    Questioned,
    Options,
    rl=_rl,
    read=read_records,
    runs_programs=True,
)
