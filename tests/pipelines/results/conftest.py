"""A run, and calls of `pipeline`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.cli import main as cli
from pipelines.run.plan import Plan
from tests.pipelines.results.making import finish_stage, make_run, write_metrics, write_rl_checkpoints, write_sft_checkpoints

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    """Call `pipeline …` in a folder; return exit status, output and errors."""
    monkeypatch.chdir(tmp_path)

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


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    """A run in `runs/smoke`: the first stage is finished, the second is training."""
    plan = make_run(tmp_path)
    finish_stage(plan, "sft")
    write_sft_checkpoints(plan, "sft", [150, 300])
    write_sft_checkpoints(plan, "sft", [450], complete=False)
    write_rl_checkpoints(plan, "stage-one", [1, 2])
    write_metrics(plan, "sft", 450)
    return plan
