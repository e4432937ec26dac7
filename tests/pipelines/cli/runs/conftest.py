"""Runs in a folder of their own, and the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.cli import main as cli
from tests.pipelines.records.making import make_old, make_run

Call = Callable[..., tuple[int, str, str]]


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


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Call `pipeline …`; return exit status, output and errors."""

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pipeline", *arguments])
        status = 0
        try:
            cli.main()
        except SystemExit as exited:
            status = int(exited.code or 0)
        out, err = capsys.readouterr()
        return status, out, err

    return run
