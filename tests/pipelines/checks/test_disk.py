"""The estimate of disk space. tests/real/test_chain.py compares it with real checkpoints."""

from __future__ import annotations

import shutil
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from pipelines.checks.resources import check_disk, count_checkpoints
from pipelines.recipe.loading import load
from pipelines.run.plan import Machine, Plan, make_plan

_Usage = namedtuple("_Usage", "total used free")


def _plan(folder: Path, *sets: str, recipe: str = "execverify.yaml") -> Plan:
    python = {name: Path("/python") for name in ("llamafactory", "verl")}
    machine = Machine("cuda", Path("/python"), python, {name: Path(f"/{name}") for name in python})
    return make_plan(load(Path(recipe), sets).recipe, machine, folder / "runs" / "x")


@pytest.mark.parametrize(("free", "verdict"), [(10**12, "ok"), (10**11, "wrong")])
def test_the_estimate_is_compared_with_the_free_space(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, free: int, verdict: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: _Usage(0, 0, free))
    found = check_disk(_plan(tmp_path))
    assert found.verdict == verdict
    # 16 bytes per parameter of a 7B model under DeepSpeed and 12 under FSDP, three times each: two kept, one being written.
    assert found.result == (
        "about sft 3 x 112.0 GB + 14.0 GB + stage-one 3 x 84.0 GB + 14.0 GB + stage-two 3 x 84.0 GB + 14.0 GB: "
        f"882.0 GB; {free / 1e9:.1f} GB free in {tmp_path}"
    )


@pytest.mark.parametrize(
    ("sets", "expected"),
    [
        (["stages.stage-one.algorithm=ppo", "stages.stage-one.critic.learning_rate=1e-5"], "stage-one 3 x 168.0 GB"),
        (["stages.sft.lora.rank=16"], "sft 3 x 444 MB + 14.0 GB"),
        (["stages.sft.llamafactory.deepspeed=null"], "sft 3 x 84.0 GB + 28.0 GB"),
        (["stages.sft.keep_checkpoints=1"], "sft 2 x 112.0 GB"),
        (["stages.stage-one.verl.actor_rollout_ref.actor.fsdp_config.model_dtype=bfloat16"], "stage-one 3 x 42.0 GB"),
        (["model=Qwen/Qwen2.5-0.5B"], "sft 3 x 8.0 GB"),
    ],
)
def test_the_size_depends_on_the_training(tmp_path: Path, sets: list[str], expected: str) -> None:
    assert expected in check_disk(_plan(tmp_path, *sets)).result


def test_existing_files_are_subtracted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: _Usage(0, 0, 0))
    plan = _plan(tmp_path, recipe="smoke.yaml")
    for stage, count in (("sft", 12), ("stage-one", 12), ("stage-two", 12)):
        for name in ("a", "b", "c"):
            file = plan.paths(stage).checkpoints / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"x" * count * 1_000_000)
    found = check_disk(plan)
    assert found.verdict == "ok"
    assert "of which 108 MB are written" in found.result


def test_an_unknown_size_is_not_guessed(tmp_path: Path) -> None:
    found = check_disk(_plan(tmp_path, "model=owner/name"))
    assert found.verdict == "unchecked"


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({"steps": 4, "save_every": 1}, 3),
        ({"steps": 4, "save_every": 1, "keep_best": True}, 4),
        ({"steps": 2, "save_every": 1}, 2),
        ({"steps": 9, "save_every": 2, "keep_checkpoints": None}, 5),
        ({"steps": 9}, 1),
        ({"epochs": 1.0, "steps": None, "keep_checkpoints": 4}, 5),
    ],
)
def test_the_largest_number_of_checkpoints(settings: dict[str, Any], count: int) -> None:
    stage = load(Path("smoke.yaml"), []).recipe.stages[1]
    assert count_checkpoints(stage.model_copy(update={"save_every": None} | settings)) == count
