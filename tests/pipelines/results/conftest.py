"""A run."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.run.plan import Plan
from tests.pipelines.results.making import finish_stage, make_run, write_metrics, write_rl_checkpoints, write_sft_checkpoints


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
