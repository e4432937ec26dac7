"""Estimates of `pipeline check` and `pipeline estimate`, with what an earlier run and this machine say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.checks.estimates import check_memory, estimate_work_of, read_throughput
from pipelines.checks.resources import gpu_bytes
from pipelines.errors import InputError
from pipelines.recipe.loading import load
from pipelines.records.runs import open_run
from pipelines.run.machine import find_environments, find_machine
from pipelines.run.plan import Plan, make_plan
from tests.pipelines.conftest import Call


@pytest.fixture(autouse=True)
def _empty_hub_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "empty"))


def plan_of(recipe: str, folder: Path, *sets: str) -> Plan:
    found = load(Path(recipe), sets).recipe
    return make_plan(found, find_machine(find_environments(found)), folder / found.name)


def test_gpus_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "nvidia-smi"
    script.write_text("#!/bin/sh\necho 'GPU-1, NVIDIA H100, 81559 MiB'\necho 'GPU-2, NVIDIA A100, 40960 MiB'\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert gpu_bytes() == 40960 << 20
    script.write_text("#!/bin/sh\nexit 9\n")
    assert gpu_bytes() is None


def test_a_stage_that_may_not_fit_is_a_note(tmp_path: Path) -> None:
    plan = plan_of("execverify.yaml", tmp_path)
    (sft, *_) = plan.recipe.stages
    roomy, tight, small = (check_memory(plan, sft, round(size * 1e9)) for size in (80, 42, 24))
    assert (roomy.verdict, tight.verdict, small.verdict) == ("ok", "note", "note")
    assert roomy.result.startswith(
        "about 41.7 GB of 80.0 GB to train, the largest part logits, 17.4 GB (lower it by batch.per_dev"
    )
    assert tight.result.endswith("; it is tight") and small.result.endswith("; it may not fit")


def test_an_unknown_model_is_a_note(tmp_path: Path) -> None:
    plan = plan_of("execverify.yaml", tmp_path, "model=owner/unknown")
    found = check_memory(plan, plan.recipe.stages[0], None)
    assert (found.verdict, found.result) == ("note", "not estimated: the config.json of owner/unknown is not on this machine")


def test_prepared_rows_give_steps_and_tokens(tmp_path: Path) -> None:
    plan = plan_of("execverify.yaml", tmp_path)
    stage = plan.recipe.stages[0]
    paths = plan.paths(stage.name)
    paths.data.mkdir(parents=True)
    (paths.data / "summary.json").write_text(json.dumps({"rows": {"train": 12800, "validation": 10}}))
    paths.prompts.write_text(json.dumps({"files": {"train": {"mean": 1000.4}}}))
    work = estimate_work_of(plan, stage, 1000.0, None)
    assert (work.steps, work.tokens, work.step_seconds) == (200, 128_000, 16.0)


def test_the_speed_of_an_earlier_run(tmp_path: Path) -> None:
    plan = plan_of("execverify.yaml", tmp_path)
    run = tmp_path / "pilot"
    (run / "stages" / "stage-one").mkdir(parents=True)
    (run / "recipe.yaml").write_text("name: pilot\nstages:\n- {name: stage-one, kind: rl}\n")
    (run / "run.json").write_text(
        json.dumps({"name": "pilot", "stages": [{"name": "stage-one", "kind": "rl", "trainer": "verl"}], "steps": []})
    )
    rows = [
        {"step": step, "perf/throughput": speed, "response_length/mean": 500.0, "prompt_length/mean": 300.0}
        for step, speed in ((1, 1.0), (2, 900.0), (3, 1100.0))  # the first step is slow
    ]
    (run / "stages" / "stage-one" / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    stage = plan.recipe.stages[1]
    work = estimate_work_of(plan, stage, None, open_run(run))
    assert (work.tokens, work.throughput) == (1024 * 800, 1000)
    assert estimate_work_of(plan, stage, 50.0, open_run(run)).throughput == 50
    assert estimate_work_of(plan, plan.recipe.stages[2], None, open_run(run)).throughput is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("fast", "--throughput fast: expected tokens per second and device, or STAGE=TOKENS"),
        ("0", "--throughput 0: expected tokens per second and device, or STAGE=TOKENS"),
        ("nan", "--throughput nan: expected tokens per second and device, or STAGE=TOKENS"),
        ("other=5", "--throughput other=5: no stage 'other'; the stages are sft, rl"),
    ],
)
def test_a_throughput_is_a_number(given: str, message: str) -> None:
    with pytest.raises(InputError) as refused:
        read_throughput([given], ["sft", "rl"])
    assert str(refused.value) == message


def test_throughputs_of_stages() -> None:
    assert read_throughput(["100", "rl=20.5"], ["sft", "rl"]) == {"sft": 100.0, "rl": 20.5}


def test_the_command_prints_memory_time_and_cost(call: Call) -> None:
    options = ("--gpu-memory", "80", "--throughput", "1000", "--price", "2", "--set", "stages.stage-one.epochs=!remove")
    status, out, _ = call("estimate", "execverify.yaml", *options, "--set", "stages.stage-one.steps=9")
    assert status == 0
    lines = [line.split("\t") for line in out.splitlines()]
    assert ["stage-one", "update the policy", "each GPU"] in [line[:3] for line in lines]
    row = next(line for line in lines if line[0] == "stage-one" and line[1] == "9")
    # 1,024 responses of 6,144 tokens by 8 GPUs.
    assert row == ["stage-one", "9", "1,024", "6,291,456", "786.4", "2.0", "31.46"]


def test_mistakes_are_one_line(call: Call) -> None:
    for options, message in (
        (("--throughput", "x"), "error: --throughput x: expected tokens per second and device, or STAGE=TOKENS\n"),
        (("--measured", "runs/none"), "error: runs/none does not exist\n"),
    ):
        assert call("estimate", "smoke.yaml", *options)[::2] == (2, message)
