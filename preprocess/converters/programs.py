"""programs_execution, programs_code: the functions of any Python file, with the calls that the file makes of them."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from preprocess.converters.base import Options
from preprocess.converters.shared import code_task, execution
from preprocess.converters.shared.code_task import CodeOptions, CodeTask
from preprocess.converters.shared.execution import Exercise, FileOptions, make_exercises
from preprocess.converters.shared.tests import to_calls
from preprocess.errors import LeftOutError, RowError
from preprocess.sources.reading import Record, list_files, name_file, read_text
from preprocess.tracing.calls import Unusable
from preprocess.tracing.functions import Function, read_program


class FunctionCall(msgspec.Struct):
    """One call of a function of a Python file."""

    problem: str
    """The file and the function."""
    name: str
    code: str
    """A program with the function and what it needs."""
    args: str
    expected: str | None
    """Source of the documented return value."""
    number: int
    """Index among the function's calls."""


class FunctionTask(msgspec.Struct):
    """A function of a Python file, to be written."""

    problem: str
    name: str
    statement: str
    signature: str
    code: str
    examples: list[tuple[str, str]]
    """Arguments and return value of each."""


def read_calls(source: Path, options: Options) -> Iterator[Record]:
    """Read the calls of the functions of a Python file, or of all files in a folder; raise SourceError."""
    return _read(source, _to_calls)


def read_tasks(source: Path, options: Options) -> Iterator[Record]:
    """Read the functions of a file or a folder that have a docstring and calls with values; raise SourceError."""
    return _read(source, _to_task)


def _read(source: Path, to_records: Callable[[Function, str, str], Iterator[Record]]) -> Iterator[Record]:
    for path in list_files(source, (".py",)):
        for found in read_program(read_text(path)):
            if isinstance(found, Unusable):
                yield Record(found.line, b"", found.reason, str(path))
            else:
                yield from to_records(found, f"{name_file(path, source)}/{found.name}", str(path))


def _to_calls(function: Function, problem: str, path: str) -> Iterator[Record]:
    for number, call in enumerate(function.calls):
        fields = FunctionCall(problem, function.name, function.code, call.args, call.expected, number)
        yield Record(call.line, msgspec.json.encode(fields), path=path)


def _to_task(function: Function, problem: str, path: str) -> Iterator[Record]:
    examples = [(call.args, call.expected) for call in function.calls if call.expected is not None]
    if function.statement and examples:
        fields = FunctionTask(problem, function.name, function.statement, function.signature, function.code, examples)
        yield Record(function.line, msgspec.json.encode(fields), path=path)
    else:
        missing = "examples with a value" if function.statement else "docstring"
        yield Record(function.line, b"", f"{function.name} has no {missing}", path)


def ask_execution(call: FunctionCall, options: FileOptions) -> Iterator[Exercise]:
    """Return the exercises of a call; raise RowError or SandboxError, see `make_exercises`."""
    if call.number >= options.max_calls:
        raise LeftOutError(f"a function has more calls than max_calls {options.max_calls}")
    name = f"{call.problem}/{call.number}"
    try:
        yield from make_exercises(call.code, call.name, call.args, call.expected, call.problem, name, options)
    except LeftOutError:
        raise
    except RowError as error:
        raise RowError(f"{call.name}({call.args[:80]}): {error}") from error


def _read_task(task: FunctionTask, options: CodeOptions) -> CodeTask:
    return CodeTask(
        source="programs/code",
        statement=task.statement,
        signature=task.signature,
        solution=task.code,
        make_truth=lambda: _make_truth(task, options.max_tests),
        plan=task.statement,
        id=task.problem,
        # The problem of questions about the function's execution, too.
        problem=task.problem,
    )


def _make_truth(task: FunctionTask, max_tests: int) -> dict[str, Any]:
    asserts = [f"assert candidate({args}) == {value}" for args, value in task.examples[:max_tests]]
    body = "\n    ".join(asserts)
    functional = f"def check(candidate):\n    {body}\n\ncheck({task.name})"
    return to_calls((ast.parse(each).body[0] for each in asserts), task.name) or {"functional": functional}


EXECUTION = dataclasses.replace(
    execution.make_converter(
        "programs_execution",
        "questions on what calls return and how they run, from a Python file of functions with calls",
        FunctionCall,
        FileOptions,
        "programs/execution",
        ask_execution,
    ),
    read=read_calls,
)
CODE = dataclasses.replace(
    code_task.make_converter(
        "programs_code",
        "functions to write from their docstrings, tested by their examples, from a Python file",
        FunctionTask,
        CodeOptions,
        _read_task,
    ),
    read=read_tasks,
)
