"""Test modules as KodCode has them: every reference gets full marks, and a wrong program of each does not."""

from __future__ import annotations

import ast
import asyncio
import json
from pathlib import Path
from typing import NamedTuple

import pytest

from rewards.builtin.code_tests import code_tests
from rewards.parsing.answers import make_response


class Row(NamedTuple):
    """A solution, a wrong version of it, and a module of tests."""

    name: str
    solution: str
    wrong: str
    tests: str


def _read_rows() -> list[Row]:
    text = (Path(__file__).parent / "kodcode_style.txt").read_text(encoding="utf-8")
    rows = []
    for part in text.split("=== ")[1:]:
        name, _, rest = part.partition("\n")
        solution, _, rest = rest.partition("--- wrong: ")
        change, _, tests = rest.partition("\n")
        before, _, after = change.partition(" => ")
        assert before in solution or before == "hollow", name
        wrong = _hollow(solution) if before == "hollow" else solution.replace(before, after)
        rows.append(Row(name, solution, wrong, tests))
    return rows


def _hollow(solution: str) -> str:
    """Return a program whose functions do nothing."""
    tree = ast.parse(solution)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            node.body = ast.Constant(None) if isinstance(node, ast.Lambda) else [ast.Pass()]
    return ast.unparse(tree)


ROWS = _read_rows()
BATCH = 12


async def _score(programs: list[tuple[str, str]]) -> list[float]:
    """Return the share of passed tests of each program: pairs of a program and its tests."""
    scores = [
        code_tests("kodcode", make_response(f"```python\n{code}\n```"), json.dumps({"pytest": tests}), {"id": "row"})
        for code, tests in programs
    ]
    return [each["accuracy"] for each in await asyncio.gather(*scores)]


@pytest.mark.parametrize("first", range(0, len(ROWS), BATCH))
def test_references_pass_and_wrong_programs_fail(first: int) -> None:
    rows = ROWS[first : first + BATCH]
    right = asyncio.run(_score([(row.solution, row.tests) for row in rows]))
    assert [row.name for row, score in zip(rows, right, strict=True) if score < 1] == []
    wrong = asyncio.run(_score([(row.wrong, row.tests) for row in rows]))
    assert [row.name for row, score in zip(rows, wrong, strict=True) if score == 1] == []


def test_there_are_a_hundred() -> None:
    assert len(ROWS) >= 100
    assert len({row.name for row in ROWS}) == len(ROWS)
