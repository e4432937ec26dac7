"""livecodebench, livecodebench_exec: LiveCodeBench's problems of contests, and its functions whose calls return a value."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any, Literal, get_args

import msgspec

from preprocess.converters.shared import execution
from preprocess.converters.shared.code_task import CodeTask, check_choice
from preprocess.converters.shared.code_task import make_converter as make_code_converter
from preprocess.converters.shared.execution import ExecutionOptions, Exercise, make_exercises
from preprocess.converters.shared.imports import add_imports
from preprocess.converters.shared.packed_text import unpack_text
from preprocess.converters.shared.tests import PairOptions, Pairs, read_json
from preprocess.errors import LeftOutError, RowError
from rewards.parsing.blocks import read_blocks
from rewards.wording import count

_QUESTION, _FORMAT = "### Question:\n", "\n### Format:"
"""Headings in the prompts of SandboxFusion's rows."""
_Difficulty = Literal["easy", "medium", "hard"]
_DIFFICULTIES: tuple[_Difficulty, ...] = get_args(_Difficulty)


class Test(msgspec.Struct):
    """A test of the published rows."""

    input: str
    output: str
    testtype: Literal["stdin", "functional"]


class Labels(msgspec.Struct):
    """Facts of SandboxFusion's rows."""

    task_id: str
    difficulty: str | None = None
    category: str | None = None


class Metadata(msgspec.Struct):
    """Facts of the published rows."""

    func_name: str | None = None


class Problem(msgspec.Struct):
    """A problem: the columns of livecodebench/code_generation_lite, or those of SandboxFusion's rows."""

    question_content: str | None = None
    question_id: str | None = None
    platform: str | None = None
    difficulty: str | None = None
    contest_date: str | None = None
    starter_code: str = ""
    public_test_cases: str = ""
    """JSON text of a list of tests."""
    private_test_cases: str = ""
    """The same, or packed: see `unpack_text`."""
    metadata: str = "{}"
    """JSON text of an object; `func_name` is the function that functional tests call."""
    content: str | None = None
    """SandboxFusion: the whole prompt."""
    test: str | None = None
    """SandboxFusion: packed JSON text of inputs, outputs and fn_name."""
    labels: str | None = None
    """SandboxFusion: JSON text of an object."""


class LiveCodeBenchOptions(PairOptions, frozen=True, kw_only=True):
    """Options of LiveCodeBench."""

    difficulty: Annotated[tuple[_Difficulty, ...], msgspec.Meta(min_length=1)] = _DIFFICULTIES
    """Leave out problems of other difficulties."""
    since: str = ""
    """A date such as 2025-01-01: leave out problems of earlier contests, which a model may have been trained on."""

    def __post_init__(self) -> None:
        try:
            date.fromisoformat(self.since or "2000-01-01")
        except ValueError:
            raise ValueError(f"since is {self.since!r}, expected a date such as 2025-01-01") from None


def _read(record: Problem, options: LiveCodeBenchOptions) -> CodeTask:
    return _read_packed(record, options) if record.content is not None else _read_published(record, options)


def _read_published(record: Problem, options: LiveCodeBenchOptions) -> CodeTask:
    if record.question_content is None or record.question_id is None:
        raise RowError("neither question_content and question_id, nor content")
    check_choice("difficulty", record.difficulty, (None, *options.difficulty), _DIFFICULTIES)
    if options.since and (record.contest_date or "") < options.since:
        raise LeftOutError(f"its contest was on {(record.contest_date or 'an unknown date')[:10]}, before {options.since}")
    starter = record.starter_code.strip()
    return CodeTask(
        source="livecodebench",
        statement=record.question_content,
        signature=starter or None,
        make_truth=lambda: _read_tests(record, options),
        id=f"livecodebench/{record.question_id}",
        detail={"difficulty": record.difficulty, "platform": record.platform, "contest_date": record.contest_date},
    )


def _read_tests(record: Problem, options: LiveCodeBenchOptions) -> dict[str, Any] | None:
    hidden = record.private_test_cases
    if hidden and not hidden.lstrip().startswith("["):
        hidden = unpack_text(hidden, "private_test_cases")
    public = read_json(record.public_test_cases or "[]", list[Test], "public_test_cases")
    tests = [*public, *read_json(hidden or "[]", list[Test], "private_test_cases")]
    if len({test.testtype for test in tests}) > 1:
        raise RowError("its tests are of two types, stdin and functional")
    name = None
    if tests and tests[0].testtype == "functional":
        name = read_json(record.metadata, Metadata, "metadata").func_name
        if name is None:
            raise RowError("metadata has no func_name, and its tests are functional")
    return _make_truth([test.input for test in tests], [test.output for test in tests], name, options)


def _read_packed(record: Problem, options: LiveCodeBenchOptions) -> CodeTask:
    """Read a row of SandboxFusion. Its solution is a placeholder."""
    labels = read_json(record.labels or "", Labels, "labels")
    check_choice("difficulty", labels.difficulty, (None, *options.difficulty), _DIFFICULTIES)
    if options.since:
        raise LeftOutError("it has no date")
    _, _, text = (record.content or "").partition(_QUESTION)
    statement, found, form = text.partition(_FORMAT)
    blocks = read_blocks(form)
    if not found or not blocks:
        raise RowError("content has no question, or does not end with its format")
    pairs = read_json(unpack_text(record.test or "", "test"), Pairs, "test")
    return CodeTask(
        source="livecodebench",
        statement=statement,
        signature=blocks[0].text.strip() if pairs.fn_name else None,
        make_truth=lambda: _make_truth(pairs.inputs, pairs.outputs, pairs.fn_name, options),
        id=f"livecodebench/{labels.task_id}",
        detail={"difficulty": labels.difficulty, "platform": labels.category},
    )


def _make_truth(
    inputs: list[Any], outputs: list[Any], name: str | None, options: LiveCodeBenchOptions
) -> dict[str, Any] | None:
    if len(inputs) != len(outputs):
        raise RowError(f"{count(len(inputs), 'input')} and {count(len(outputs), 'output')}")
    if not inputs:
        return None
    truth = {"inputs": inputs[: options.max_tests], "outputs": outputs[: options.max_tests]}
    if name is None:
        return truth
    return {**truth, "fn_name": name, **({} if options.integer_keys else {"integer_keys": False})}


class Call(msgspec.Struct, gc=False):
    """A row of livecodebench/execution-v2: a function with one call."""

    code: str
    function_name: str
    input: str
    """Source of the call."""
    output: str
    """Source of the value."""
    id: str
    question_id: str
    difficulty: str | None = None


def _ask(record: Call, options: ExecutionOptions) -> Iterator[Exercise]:
    try:
        call = ast.parse(record.input.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        call = ast.Constant(None)
    if not isinstance(call, ast.Call) or ast.unparse(call.func) != record.function_name:
        raise RowError(f"input is {record.input[:80]!r}, expected a call of {record.function_name}")
    args = ", ".join(map(ast.unparse, [*call.args, *call.keywords]))
    # Several rows have the same problem, with other solutions and calls.
    problem, name = f"livecodebench_exec/{record.question_id}", f"livecodebench_exec/{record.id}"
    facts = {"difficulty": record.difficulty} if record.difficulty else {}
    yield from make_exercises(
        add_imports(record.code), record.function_name, args, record.output, problem, name, options, facts
    )


LIVECODEBENCH = dataclasses.replace(
    make_code_converter(
        "livecodebench",
        "LiveCodeBench: problems of contests, tested by standard input or by calls of a function",
        Problem,
        LiveCodeBenchOptions,
        _read,
    ),
    sft=None,  # the rows have no solutions
)
EXECUTION = execution.make_converter(
    "livecodebench_exec",
    "LiveCodeBench-Exec: what calls of solutions return and how they run",
    Call,
    ExecutionOptions,
    "livecodebench_exec",
    _ask,
)
