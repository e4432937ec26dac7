"""Right and wrong answers to rows of LeetCodeDataset, HumanEval and ExecVerify, if a folder next to the project has them."""

from __future__ import annotations

import ast
import asyncio
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from rewards.builtin.code_tests import code_tests
from rewards.builtin.white_box import white_box
from rewards.builtin.white_box_rows import make_reference
from rewards.parsing.answers import make_response
from rewards.plugins.loading import load
from tests import ROOT

DATA = ROOT.parent / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the real rows are missing")

# Third-party packages that some solutions need.
FOREIGN = ("sortedcontainers", "numpy")
# The order of its result depends on the hashes of strings.
UNSTABLE = {"word-ladder-ii"}
# Compares the program with itself.
SELF = {"HumanEval/33"}

SPOIL = """
def _spoil(v):
    if isinstance(v, bool): return not v
    if isinstance(v, (int, float)): return v + 1
    if isinstance(v, str): return v + "x"
    if isinstance(v, list): return v + [1]
    if isinstance(v, tuple): return v + (1,)
    if isinstance(v, dict): return {**v, "x": 1}
    if isinstance(v, set): return v | {"x"}
    if hasattr(v, "val"): v.val += 1
    return v if v is not None else 1
def _wrap(f):
    depth = [0]
    def g(*a, **k):
        depth[0] += 1
        try: v = f(*a, **k)
        finally: depth[0] -= 1
        return v if depth[0] else _spoil(v)
    return g
"""


@dataclass(frozen=True)
class Row:
    name: str
    truth: str
    solution: str
    function: str

    def spoil(self) -> str:
        owner, dot, method = self.function.rpartition("().")
        target = f"{owner}.{method}" if dot else self.function
        return f"{self.solution}\n{SPOIL}\n{target} = _wrap({target})\n"


def _read(name: str) -> Iterator[Row]:
    with gzip.open(DATA / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            fields: dict[str, Any] = json.loads(line)
            solution, prelude = fields.get("completion", ""), fields["prompt"]
            if name == "HumanEval":
                solution, prelude = prelude + fields["canonical_solution"], _find_helpers(prelude, fields["entry_point"])
            if fields["task_id"] in UNSTABLE or any(f"import {each}" in solution.replace("from", "import") for each in FOREIGN):
                continue
            tests = f"{fields['test']}\n\ncheck({fields['entry_point']})"
            truth = json.dumps({"functional": tests, "prelude": prelude})
            yield Row(fields["task_id"], truth, solution, fields["entry_point"])


def _find_helpers(prompt: str, function: str) -> str:
    body = ast.parse(prompt + "    pass\n").body
    return ast.unparse(ast.Module([each for each in body if getattr(each, "name", "") != function], []))


def _score_all(pairs: list[tuple[str, str]]) -> list[float]:
    async def score(truth: str, response: str) -> float:
        async with gate:
            return float((await code_tests("d", response, truth, {}))["score"])

    async def score_all() -> list[float]:
        return await asyncio.gather(*(score(truth, response) for truth, response in pairs))

    gate = asyncio.Semaphore(8)
    return asyncio.run(score_all())


def _respond(program: str) -> str:
    return make_response(f"```python\n{program}\n```")


ROWS = {
    "LeetCode test": ("LeetCodeDataset-v0.2.0-test", slice(None), 190),
    "LeetCode train": ("LeetCodeDataset-v0.2.0-train", slice(0, None, 9), 190),
    "LeetCode trees and lists": ("LeetCodeDataset-v0.2.0-train", slice(50, 110), 50),
    "HumanEval": ("HumanEval", slice(None), 164),
}


@pytest.mark.parametrize("which", ROWS)
def test_right_solutions_pass_and_spoiled_ones_fail(which: str) -> None:
    name, chosen, least = ROWS[which]
    rows = list(_read(name))[chosen]
    assert len(rows) >= least
    right = _score_all([(row.truth, _respond(row.solution)) for row in rows])
    assert [row.name for row, score in zip(rows, right, strict=True) if score != 1.0] == []
    wrong = _score_all([(row.truth, _respond(row.spoil())) for row in rows])
    assert [row.name for row, score in zip(rows, wrong, strict=True) if score != 0.0 and row.name not in SELF] == []


@pytest.mark.parametrize("which", ROWS)
def test_cheats_score_nothing_on_real_rows(which: str) -> None:
    name, chosen, _ = ROWS[which]
    rows = list(_read(name))[chosen][:25:5]
    reward = load("code_tests")
    assert reward.cheats is not None
    tried = [(row, cheat, text) for row in rows for cheat, text in reward.cheats(row.truth, {}).items()]
    scores = _score_all([(row.truth, text) for row, _, text in tried])
    assert [(row.name, cheat) for (row, cheat, _), score in zip(tried, scores, strict=True) if score != 0.0] == []
    assert len(tried) > 10 * len(rows)


def _answer(row: dict[str, Any], result: str) -> str:
    """Return an answer in the form that the published prompts ask for."""
    assertion = f"assert {row['func_name']}({row['func_args']}) == {result}"
    if row["type"] == "oi":
        return make_response(f"```python\n{row['func_str']}\n\n{assertion}\n```")
    questions = row["question_answers"]
    lines = [accepted[0] for accepted in questions["path_answers"]]
    lines += [f"{value}; {kind}" for (kind, value), *_ in questions["state_as"]]
    return make_response("\n".join([assertion, *lines]))


def test_answers_to_published_questions() -> None:
    path = DATA / "execverify_rl-from-cruxeval.json.gz"
    if not path.exists():
        pytest.skip("ExecVerify's rows are missing")
    rows: list[dict[str, Any]] = json.loads(gzip.decompress(path.read_bytes()))
    assert len(rows) == 150

    async def score(row: dict[str, Any], response: str) -> float:
        return float((await white_box("d", response, json.dumps(row), {}))["score"])

    async def score_all() -> list[tuple[float, ...]]:
        answers = [(_answer(row, row["result"]), make_reference(json.dumps(row), {}), _answer(row, "'?'")) for row in rows]
        return [tuple([await score(row, each) for each in tried]) for row, tried in zip(rows, answers, strict=True)]

    assert set(asyncio.run(score_all())) == {(2.0, 2.0, 0.0)}
