"""reval: one question per row, and the answers that its runs have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from preprocess.converters import CONVERTERS
from preprocess.engine.convert import Converted, convert
from preprocess.engine.job import Source
from preprocess.errors import SourceError
from preprocess.rows import RlRow, to_json
from rewards.entry import compute_score_blocking

CODE = """\
def f(items, n):
    total = n
    for item in items:
        if item > n:
            total += item
    return total
"""
PROGRAM = {"task_id": "DREval/4", "entry_point": "f", "code": CODE, "inputs": ["([1, 2, 3], 1,)", "([], 0,)"], "test": None}


def write(folder: Path, programs: list[Any], tasks: list[Any]) -> Path:
    for name, lines in (("data", programs), ("tasks", tasks)):
        (folder / f"DREval_{name}.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    return folder


def ask(folder: Path, *points: tuple[int, str], program: dict[str, Any] = PROGRAM, input_idx: int = 0) -> Converted:
    task = [{"lineno": line, "var": name} for line, name in points]
    return convert([Source("reval", write(folder, [program], [{"tasks": [{"input_idx": input_idx, "task": task}]}]))], "rl")


def truths(result: Converted) -> dict[str, Any]:
    found = {}
    for row in result.rows:
        assert isinstance(row, RlRow) and isinstance(row.ground_truth, dict)
        questions = row.ground_truth["question_answers"]
        found[row.id.removeprefix("DREval/4/")] = [*questions.get("path_answers", []), *questions.get("state_as", [])]
    return found


def test_questions_about_a_line(tmp_path: Path) -> None:
    assert truths(ask(tmp_path, (5, "total"))) == {
        "0/output": [],
        "0/5/coverage": [["YES", "Yes", "yes"]],
        "0/5/path": [["for item in items:"]],
        "0/5/state": [[["int", "3"], ["int", "6"]]],
    }


def test_a_line_that_does_not_run(tmp_path: Path) -> None:
    assert truths(ask(tmp_path, (5, "total"), input_idx=1)) == {
        "1/output": [],
        "1/5/coverage": [["NO", "No", "no"]],
        "1/5/path": [["-1"]],
        "1/5/state": [[["Nil", "Nil"]]],
    }


def test_the_end_of_a_run(tmp_path: Path) -> None:
    found = truths(ask(tmp_path, (6, "total"), (4, "item")))
    assert found["0/6/path"] == [["-1"]]
    assert found["0/6/state"] == [[["int", "6"]]]
    assert found["0/4/path"] == [["for item in items:", "total += item"]]


@pytest.mark.parametrize("variable", ["n", "items[0]", "unknown"])
def test_values_that_the_trace_does_not_tell(tmp_path: Path, variable: str) -> None:
    assert "0/6/state" not in truths(ask(tmp_path, (6, variable)))


def test_answers_get_full_marks(tmp_path: Path) -> None:
    kinds = set()
    for row in ask(tmp_path, (5, "total"), (6, "total")).rows:
        assert isinstance(row, RlRow) and isinstance(row.ground_truth, dict)
        kind, prompt = row.detail["kind"], row.prompt[0].content
        kinds.add(kind)
        right, wrong = {
            "coverage": ("YES", "NO"),
            "path": ("-1" if "line 6" in prompt else "for item in items:", "total = n"),
            "state": ("6; int", "5; int"),
            "output": ("assert f([1, 2, 3], 1) == 6", "assert f([1, 2, 3], 1) == 7"),
        }[kind]
        for answer, score in ((right, 1.0), (wrong, 0.0)):
            response = f"<reasoning>So.</reasoning>\n<answer>\n{answer}\n</answer>"
            given = {"data_source": row.data_source, "ground_truth": to_json(row.ground_truth), "extra_info": {"id": row.id}}
            result = compute_score_blocking(solution_str=response, **given, rewards=[{"name": "white_box"}])
            assert (row.id, result["accuracy"], result["failed"]) == (row.id, score, 0.0)
    assert kinds == {"coverage", "path", "state", "output"}


@pytest.mark.parametrize(
    ("change", "kind", "reason"),
    [
        ({"test": "import unittest"}, "left_out", "it is a class with a unit test, not a function"),
        ({"inputs": ["[1]"]}, "rejected", "an input is '[1]', expected a tuple of arguments"),
        ({"inputs": []}, "rejected", "input_idx is 0, expected a place among 0 inputs"),
        ({"inputs": ["(1,)"]}, "rejected", "TypeError: "),
    ],
)
def test_without_row(tmp_path: Path, change: dict[str, Any], kind: str, reason: str) -> None:
    result = ask(tmp_path, (5, "total"), program={**PROGRAM, **change})
    assert [(each.kind, each.reason[: len(reason)]) for each in result.rejects] == [(kind, reason)]


def test_a_program_without_points_is_left_out(tmp_path: Path) -> None:
    result = convert([Source("reval", write(tmp_path, [PROGRAM], [{"tasks": []}]))], "rl")
    assert [(each.kind, each.reason) for each in result.rejects] == [("left_out", "nothing is asked about it")]


def test_source(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"expected a folder with DREval_data\.jsonl and DREval_tasks\.jsonl"):
        convert([Source("reval", tmp_path)], "rl")
    with pytest.raises(SourceError, match=r"has 1 programs, DREval_tasks\.jsonl 0: they are of different versions"):
        convert([Source("reval", write(tmp_path, [PROGRAM], []))], "rl")
    assert CONVERTERS["reval"].example.is_dir()
