"""Runs in a folder of their own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pipelines.records.making import make_old, make_run


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a run of each kind: killed of version 0.2, failed, of a later version, torn, and complete."""
    monkeypatch.chdir(tmp_path)
    runs = tmp_path / "runs"
    make_old(make_run(runs / "old", "rl/train", "started").directory)
    make_run(runs / "broken", "rl/train", "failed", reason="rl/train ended with status 1: ValueError: x\x1b[31m")
    (make_run(runs / "later").directory / "run.json").write_text('{"version": 9, "project": "9.0"}')
    torn = make_run(runs / "torn").directory
    for stage in ("sft", "rl"):
        with (torn / "stages" / stage / "metrics.jsonl").open("a") as file:
            file.write('{"step": 500, "lo')
    (torn / "run.json").write_text('{"version": 1, "na')
    (torn / "stages/rl/train/reached.json").write_text('{"step": 4')
    (torn / "stages/rl/train/record.json").write_text('{"comm')
    make_run(runs / "whole")
    return tmp_path
