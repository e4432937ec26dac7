"""programs_execution, programs_code: the functions of any Python file, with the calls that the file has of them."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from preprocess.converters.base import Converter, Options
from preprocess.converters.shared.code_task import CodeOptions, CodeTask, make_converter
from preprocess.converters.shared.execution import Exercise, FileOptions, make_exercises
from preprocess.converters.shared.tests import read_test, to_truth
from preprocess.errors import LeftOutError, RowError
from preprocess.rows import RlRow, SftRow
from preprocess.sources.decoding import as_text
from preprocess.sources.reading import Record, list_files, name_file, read_text
from preprocess.tracing.calls import Unusable
from preprocess.tracing.programs import Function, read_program


class Called(msgspec.Struct):
    """One call of a function of a Python file."""

    problem: str
    """The file and the function."""
    name: str
    code: str
    """A program that has the function and what it needs."""
    args: str
    wanted: str | None
    """Source of what it is said to return."""
    number: int
    """Its place among the function's calls."""


class Task(msgspec.Struct):
    """A function of a Python file that is to be written."""

    problem: str
    name: str
    statement: str
    signature: str
    code: str
    examples: list[tuple[str, str]]
    """Arguments and what the call returns."""


def read_calls(source: Path, options: Options) -> Iterator[Record]:
    """The calls of the functions of a Python file, or of all in a folder.

    Raises:
        SourceError: a file is not there or is not text.
    """
    for path, function in _read(source):
        problem = f"{name_file(path, source)}/{function.function}"
        if isinstance(function, Unusable):
            yield Record(function.line, b"", function.reason, str(path))
            continue
        for number, call in enumerate(function.calls):
            called = Called(problem, function.function, function.code, call.args, call.wanted, number)
            yield Record(call.line, as_text(called), path=str(path))


def read_tasks(source: Path, options: Options) -> Iterator[Record]:
    """The functions of a Python file, or of all in a folder, whose docstrings state the problem and whose calls have values.

    Raises:
        SourceError: a file is not there or is not text.
    """
    for path, function in _read(source):
        problem = f"{name_file(path, source)}/{function.function}"
        if isinstance(function, Unusable):
            yield Record(function.line, b"", function.reason, str(path))
            continue
        examples = [(call.args, call.wanted) for call in function.calls if call.wanted is not None]
        if function.statement and examples:
            task = Task(problem, function.function, function.statement, function.signature, function.code, examples)
            yield Record(function.line, as_text(task), path=str(path))
        else:
            lacking = "examples with a value" if function.statement else "docstring"
            yield Record(function.line, b"", f"{function.function} has no {lacking}", str(path))


def _read(source: Path) -> Iterator[tuple[Path, Function | Unusable]]:
    for path in list_files(source, (".py",)):
        for function in read_program(read_text(path)):
            yield path, function


def ask_execution(called: Called, options: FileOptions) -> Iterator[Exercise]:
    """What is asked about a call.

    Raises:
        RowError, SandboxError: as `make_exercises`.
    """
    if called.number >= options.max_calls:
        raise LeftOutError(f"a function has more calls than max_calls {options.max_calls}")
    name = f"{called.problem}/{called.number}"
    try:
        yield from make_exercises(called.code, called.name, called.args, called.wanted, name, options)
    except LeftOutError:
        raise
    except RowError as error:
        raise RowError(f"{called.name}({called.args[:80]}): {error}") from error


def _execution_sft(called: Called, options: FileOptions) -> Iterable[SftRow]:
    return [each.to_sft(called.problem) for each in ask_execution(called, options)]


def _execution_rl(called: Called, options: FileOptions) -> Iterable[RlRow]:
    return [each.to_rl(called.problem, "programs/execution") for each in ask_execution(called, options)]


def _read_task(task: Task, options: CodeOptions) -> CodeTask:
    return CodeTask(
        source="programs/code",
        statement=task.statement,
        signature=task.signature,
        solution=task.code,
        make_truth=lambda: _to_truth(task, options.max_tests),
        plan=task.statement,
        id=task.problem,
        # Questions about the function's execution are of the same problem.
        problem=task.problem,
    )


def _to_truth(task: Task, max_tests: int) -> dict[str, Any]:
    asserts = [f"assert candidate({args}) == {wanted}" for args, wanted in task.examples[:max_tests]]
    tests = [read_test(ast.parse(line).body[0], "candidate") for line in asserts]
    truth = to_truth([test for test in tests if test], task.name) if all(tests) else None
    body = "\n    ".join(asserts)
    return truth or {"functional": f"def check(candidate):\n    {body}\n\ncheck({task.name})"}


EXECUTION = Converter(
    "programs_execution",
    "questions on what calls return and how they run, from a Python file of functions with calls",
    Called,
    FileOptions,
    _execution_sft,
    _execution_rl,
    read=read_calls,
    runs_programs=True,
    example_name="programs",
)
CODE = make_converter(
    "programs_code",
    "functions to write from their docstrings, tested by their examples, from a Python file",
    Task,
    CodeOptions,
    _read_task,
    read=read_tasks,
    example_name="programs",
)
