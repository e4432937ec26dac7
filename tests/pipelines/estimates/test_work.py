"""Steps, tokens, time and cost."""

from __future__ import annotations

import pytest

from pipelines.estimates.work import Lengths, estimate_work
from pipelines.recipe.schema import Hardware
from tests.pipelines.trainers.verl.stages import rl_stage, sft_stage

HARDWARE = Hardware(nodes=2, gpus_per_node=4)


def test_sft_counts_rows_of_all_devices() -> None:
    stage = sft_stage(steps=..., epochs=2, batch={"per_device": 2, "accumulate": 3})
    work = estimate_work(stage, HARDWARE, 100, Lengths(row=100), throughput=1000)
    assert (work.rows, work.tokens) == (2 * 3 * 8, 4800)
    assert work.steps == 2 * 2, "verl drops the incomplete batch"
    assert work.step_seconds == pytest.approx(4800 / 8000)
    assert work.hours == pytest.approx(4 * 0.6 / 3600)
    assert work.cost(3.0) == pytest.approx(4 * 0.6 / 3600 * 8 * 3)


def test_llamafactory_trains_on_the_incomplete_batch() -> None:
    stage = sft_stage(trainer="llamafactory", template="qwen", steps=..., epochs=2, batch={"per_device": 2, "accumulate": 3})
    assert estimate_work(stage, HARDWARE, 100, Lengths()).steps == 2 * 3


def test_rl_counts_prompts_and_responses() -> None:
    work = estimate_work(rl_stage(), HARDWARE, None, Lengths(row=100))
    assert (work.steps, work.rows, work.tokens) == (4, 8 * 4, 8 * 4 * (100 + 128))
    assert (work.step_seconds, work.hours, work.cost(1)) == (None, None, None)


def test_longest_rows_are_assumed() -> None:
    assert estimate_work(sft_stage(), Hardware(), None, Lengths()).tokens == 6 * 512
    assert estimate_work(sft_stage(packing=True), Hardware(), None, Lengths(row=100)).tokens == 6 * 512
    assert estimate_work(rl_stage(steps=..., epochs=1), Hardware(), None, Lengths()).steps is None
