"""leetcode: LeetCodeDataset's problems, v0.1 to v0.3: solutions to learn from, and their tests to be rewarded by."""

from __future__ import annotations

import ast
from typing import Any, Literal

import msgspec

from preprocess.converters.shared.code_task import CodeOptions, CodeTask, make_converter
from preprocess.converters.shared.tests import parse, read_test, take_check, to_truth
from preprocess.errors import LeftOutError, RowError

Difficulty = Literal["Easy", "Medium", "Hard"]

_STARTER = "\nPlease complete the following python code precisely:\n```python\n"


class Meta(msgspec.Struct):
    """What v0.1 and v0.2 say of a problem."""

    difficulty: str | None = None
    query: str | None = None
    """v0.1 has it here."""


class LeetCode(msgspec.Struct):
    """A problem."""

    task_id: str
    prompt: str
    """Imports and helpers that every solution finds."""
    completion: str
    entry_point: str
    test: str
    query: str | None = None
    """The statement and the code to complete: v0.1 and v0.2."""
    meta: Meta | None = None
    problem_description: str | None = None
    """v0.3, with the next two."""
    starter_code: str | None = None
    difficulty: str | None = None


class LeetCodeOptions(CodeOptions, frozen=True, kw_only=True):
    """Which problems are taken."""

    difficulty: tuple[Difficulty, ...] = ("Easy", "Medium", "Hard")
    """Leaves out problems of others."""


def _read(record: LeetCode, options: LeetCodeOptions) -> CodeTask:
    difficulty = record.difficulty or (record.meta.difficulty if record.meta else None)
    difficulty = "Medium" if difficulty == "Meidum" else difficulty  # so in 21 rows of v0.2
    if difficulty not in (None, *options.difficulty):
        raise LeftOutError(f"its difficulty is {difficulty}")
    statement, starter = _split(record)
    lines = [line.rstrip().replace("\xa0", " ") for line in statement.strip().splitlines()]
    return CodeTask(
        source="leetcode",
        statement="\n".join(line for line in lines if line),
        signature=starter,
        solution=record.completion,
        make_truth=lambda: _make_truth(record, options),
        id=f"leetcode/{record.task_id}",
        detail={"difficulty": difficulty} if difficulty else {},
    )


def _split(record: LeetCode) -> tuple[str, str]:
    """The statement, and the code that begins the solution."""
    if record.problem_description is not None and record.starter_code is not None:
        return record.problem_description, record.starter_code
    query = record.query or (record.meta.query if record.meta else None)
    if query is None:
        raise RowError("neither query, nor meta.query, nor problem_description and starter_code")
    statement, found, starter = query.partition(_STARTER)
    if not found:
        raise RowError("query does not end with the code to complete")
    return statement, starter.partition("\n```")[0]


def _make_truth(record: LeetCode, options: LeetCodeOptions) -> dict[str, Any]:
    prelude, function = record.prompt, record.entry_point
    check = take_check(parse(record.test, "test"), options.max_tests)
    tests = [read_test(line, "candidate") for line in check.body]
    truth = to_truth([test for test in tests if test], function, prelude) if all(tests) else None
    return truth or {"functional": f"{ast.unparse(check)}\n\ncheck({function})", "prelude": prelude}


LEETCODE = make_converter(
    "leetcode",
    "LeetCodeDataset v0.1 to v0.3: problems with their solutions and tests",
    LeetCode,
    LeetCodeOptions,
    _read,
)
