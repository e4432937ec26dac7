"""What happened to rows with too many tokens, as `prompts.json` says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.records.overlong import read_overlong
from pipelines.trainers.base import StagePaths


@pytest.mark.parametrize(
    ("changes", "train", "expected"),
    [
        ({"overlong": "cut"}, 0, "3 rows longer than 9 tokens were truncated"),
        ({"overlong": "leave_out"}, 2, "3 rows longer than 9 tokens were left out"),
        # Of a version that did not write the outcome.
        ({"shape": "sft"}, 0, "3 rows longer than 9 tokens were truncated"),
        ({"shape": "rl"}, 2, "3 rows longer than 9 tokens were left out"),
    ],
)
def test_outcomes(tmp_path: Path, changes: dict[str, Any], train: int, expected: str) -> None:
    paths = StagePaths(tmp_path)
    files = {"train": {"over": 2}, "validation": {"over": 1}}
    paths.prompts.write_text(json.dumps({"shape": "rl", "limit": 9, "files": files, **changes}))
    found = read_overlong(paths)
    assert found is not None
    assert (found.left_out("train"), str(found)) == (train, expected)


@pytest.mark.parametrize("files", [{}, {"train": {"over": 0}}, {"train": {}}, None])
def test_none(tmp_path: Path, files: Any) -> None:
    paths = StagePaths(tmp_path)
    assert read_overlong(paths) is None
    paths.prompts.write_text(json.dumps({"limit": 9, "files": files}))
    assert read_overlong(paths) is None
