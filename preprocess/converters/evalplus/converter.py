"""Problems of EvalPlus: the expected values are computed in the sandbox when they are converted."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from preprocess.converters.evalplus.assertions import write_check
from preprocess.converters.evalplus.inputs import quote_infinities, restore_types
from preprocess.converters.evalplus.solutions import run_solution
from preprocess.converters.options import Positive
from preprocess.converters.shared.code_task import CodeOptions, CodeTask, make_converter, name_problem
from preprocess.converters.shared.preludes import find_prelude
from preprocess.converters.shared.signatures import show_signatures
from preprocess.converters.shared.tests import parse
from preprocess.errors import LeftOutError, RowError
from preprocess.sources.reading import Record, list_files, read_chunks

_DATA_SOURCES = {"HumanEval": "humaneval_plus", "Mbpp": "mbpp_plus"}


class EvalPlus(msgspec.Struct):
    """A problem."""

    task_id: str
    """`HumanEval/0` or `Mbpp/2`."""
    prompt: str
    """HumanEval+: the function's signature and docstring; MBPP+: a docstring with the statement and an assertion."""
    entry_point: str
    canonical_solution: str
    """The rest of the program after `prompt`."""
    base_input: list[list[Any]]
    """The inputs of the original tests; each is a list of arguments."""
    plus_input: list[list[Any]] | dict[str, Any]
    """The inputs that EvalPlus adds; an empty object if it adds none."""
    atol: float
    """Accepted absolute error of numbers."""


class EvalPlusOptions(CodeOptions, frozen=True, kw_only=True):
    """Options of EvalPlus."""

    max_tests: Positive = 10_000
    """Number of inputs to keep per problem, from the first; the original ones are the first."""


def _read(record: EvalPlus, options: EvalPlusOptions) -> CodeTask:
    family = record.task_id.partition("/")[0]
    if family not in _DATA_SOURCES:
        raise RowError(f"task_id is {record.task_id!r}, expected HumanEval/N or Mbpp/N")
    solution = f"{record.prompt}{record.canonical_solution}".strip("\n")
    parts = _ask_mbpp(record) if family == "Mbpp" else _ask_humaneval(record)
    return CodeTask(
        source=_DATA_SOURCES[family],
        statement=parts[0],
        signature=parts[1],
        solution=solution,
        make_truth=lambda: _make_truth(record, family, solution, options.max_tests),
        id=record.task_id,
        # The name of the problem in the original data set.
        problem=record.task_id if family == "HumanEval" else name_problem("mbpp", parts[0]),
        plan=f"To write: {record.entry_point}",
    )


def _ask_humaneval(record: EvalPlus) -> tuple[str, str]:
    return f"Complete the function {record.entry_point}.", record.prompt.strip("\n")


def _ask_mbpp(record: EvalPlus) -> tuple[str, str]:
    statement = ast.get_docstring(parse(record.prompt, "prompt"))
    if not statement:
        raise RowError("prompt is not a docstring")
    for each in parse(record.canonical_solution, "canonical_solution").body:
        if isinstance(each, ast.FunctionDef) and each.name == record.entry_point:
            return statement, show_signatures([each])
    raise RowError(f"canonical_solution has no function {record.entry_point}")


def read_records(source: Path, options: EvalPlusOptions) -> Iterator[Record]:
    """Read the lines of the published files, which are not quite JSON; raise SourceError."""
    for chunk in read_chunks(source, list_files(source)):
        for record in chunk.read():
            text = quote_infinities(record.text)
            yield msgspec.structs.replace(record, text=text, path=str(chunk.path))


def _make_truth(record: EvalPlus, family: str, solution: str, max_tests: int) -> dict[str, Any]:
    inputs = restore_types(record.task_id, [*record.base_input, *record.plus_input][:max_tests])
    if not inputs:
        raise LeftOutError("it has no tests")
    cases = run_solution(solution, family, record.entry_point, inputs)
    truth = {"functional": write_check(family, record.entry_point, cases, record.atol)}
    prelude = find_prelude(record.prompt, record.entry_point) if family == "HumanEval" else ""
    return {**truth, "prelude": prelude} if prelude else truth


EVALPLUS = dataclasses.replace(
    make_converter("evalplus", "EvalPlus: HumanEval+ and MBPP+, with their extended tests", EvalPlus, EvalPlusOptions, _read),
    runs_programs=True,
    read=read_records,
)
