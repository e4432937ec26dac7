"""leetcode: LeetCodeDataset v0.1 to v0.3, problems with solutions and tests."""

from __future__ import annotations

import ast
from typing import Annotated, Any, Literal, get_args

import msgspec

from preprocess.converters.shared.code_task import CodeOptions, CodeTask, check_choice, make_converter
from preprocess.converters.shared.tests import parse, take_check, to_calls
from preprocess.errors import RowError
from rewards.parsing.blocks import read_blocks

_ANY_ORDER = {"word-ladder-ii"}
"""Problems whose answers may be in any order, although their statements do not say so."""
_STARTER = "\nPlease complete the following python code precisely:\n"
_QUESTION, _FORMAT = "### Question:\n", "\n### Format:"
"""Headings in the query of v0.3."""


_Difficulty = Literal["Easy", "Medium", "Hard"]
_DIFFICULTIES: tuple[_Difficulty, ...] = get_args(_Difficulty)


class Meta(msgspec.Struct):
    """Metadata of v0.1 and v0.2."""

    difficulty: str | None = None
    query: str | None = None
    """The query of v0.1."""


class LeetCode(msgspec.Struct):
    """A problem."""

    task_id: str
    prompt: str
    """Imports and helpers that run before every solution."""
    completion: str
    entry_point: str
    test: str
    query: str | None = None
    """The statement and the code to complete: v0.2, and v0.3.0 between headings."""
    meta: Meta | None = None
    problem_description: str | None = None
    """Since v0.3.1, like the next two."""
    starter_code: str | None = None
    difficulty: str | None = None


class LeetCodeOptions(CodeOptions, frozen=True, kw_only=True):
    """Options of LeetCodeDataset."""

    difficulty: Annotated[tuple[_Difficulty, ...], msgspec.Meta(min_length=1)] = _DIFFICULTIES
    """Leave out problems of other difficulties."""


def _read(record: LeetCode, options: LeetCodeOptions) -> CodeTask:
    difficulty = record.difficulty or (record.meta.difficulty if record.meta else None)
    difficulty = "Medium" if difficulty == "Meidum" else difficulty  # misspelled in 21 rows of v0.2
    check_choice("difficulty", difficulty, (None, *options.difficulty), _DIFFICULTIES)
    statement, starter = _split(record)
    lines = [line.rstrip().replace("\xa0", " ") for line in statement.strip().splitlines()]
    return CodeTask(
        source="leetcode",
        statement="\n".join(line for line in lines if line),
        signature=starter,
        solution=record.completion,
        make_truth=lambda: _make_truth(record, options),
        id=f"leetcode/{record.task_id}",
        detail={"difficulty": difficulty or None},
    )


def _split(record: LeetCode) -> tuple[str, str]:
    """Return the statement, and the code to complete."""
    if record.problem_description is not None and record.starter_code is not None:
        return record.problem_description, record.starter_code
    query = record.query or (record.meta.query if record.meta else None)
    if query is None:
        raise RowError("neither query, nor meta.query, nor problem_description and starter_code")
    statement, found, end = query.partition(_STARTER)
    if not found:
        _, _, query = query.rpartition(_QUESTION)
        statement, found, end = query.rpartition(_FORMAT)
    blocks = read_blocks(end)
    if not found or not blocks:
        raise RowError("query does not end with the code to complete")
    return statement, blocks[0].text


def _make_truth(record: LeetCode, options: LeetCodeOptions) -> dict[str, Any]:
    check = take_check(parse(record.test, "test"), options.max_tests)
    truth = to_calls(check.body, record.entry_point, record.prompt)
    if truth and record.task_id in _ANY_ORDER:
        truth["any_order"] = True
    return truth or {"functional": f"{ast.unparse(check)}\n\ncheck({record.entry_point})", "prelude": record.prompt}


LEETCODE = make_converter(
    "leetcode", "LeetCodeDataset v0.1 to v0.3: problems with their solutions and tests", LeetCode, LeetCodeOptions, _read
)
