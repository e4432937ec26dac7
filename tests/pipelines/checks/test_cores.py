"""The cores of this machine against those that verl asks of Ray."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from pipelines.checks import cores
from pipelines.checks.cores import check_cores, count_cores
from pipelines.recipe.schema import Recipe, RlStage, SftStage
from tests.pipelines.trainers.verl.stages import rl_stage, sft_stage


def recipe(stages: Sequence[SftStage | RlStage], **hardware: int) -> tuple[Sequence[SftStage | RlStage], Recipe]:
    """Return the stages, and a recipe of them."""
    made = Recipe.model_validate({"name": "demo", "model": "org/model", "hardware": hardware, "stages": stages})
    return made.stages, made


@pytest.fixture
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "count_cores", lambda: 8)


@pytest.mark.usefixtures("eight_cores")
def test_too_few_cores_are_reported_with_what_holds_them() -> None:
    (found,) = check_cores(*recipe([sft_stage(name="sft"), rl_stage()]), "cuda")
    assert (found.what, found.verdict) == ("cores", "note")
    assert found.result.startswith("8, fewer than the 12 that verl asks of Ray (8 for TransferQueue's stores, ")
    assert found.result.endswith(
        "set stages.one.verl.transfer_queue.backend.SimpleStorage.num_data_storage_units to a smaller number than 8, "
        "or ray_kwargs.ray_init.num_cpus to 12"
    )


@pytest.mark.usefixtures("eight_cores")
@pytest.mark.parametrize("keys", [{"ray_kwargs.ray_init.num_cpus": 12}, {"ray_kwargs": {"ray_init": {"num_cpus": 16}}}])
def test_cores_that_the_recipe_gives_count(keys: dict[str, object]) -> None:
    (found,) = check_cores(*recipe([rl_stage(verl=keys)]), "cuda")
    assert found.verdict == "ok"


@pytest.mark.usefixtures("eight_cores")
def test_the_stage_that_lacks_most_is_reported() -> None:
    fewer = rl_stage(name="two", verl={"transfer_queue.backend.SimpleStorage.num_data_storage_units": 1})
    (found,) = check_cores(*recipe([fewer, rl_stage()]), "cuda")
    assert "stages.one." in found.result
    assert [each.result for each in check_cores(*recipe([fewer]), "cuda")] == ["8; verl asks Ray for 5"]


def test_cores_do_not_matter_on_the_cpu_on_a_cluster_or_for_sft() -> None:
    assert not [*check_cores(*recipe([rl_stage()]), "cpu")]
    assert not [*check_cores(*recipe([rl_stage()], nodes=2), "cuda")]
    assert not [*check_cores(*recipe([sft_stage()]), "cuda")]


@pytest.mark.parametrize(("quota", "limit"), [("100000 100000\n", 1), ("50000 100000\n", 1), ("max 100000\n", None)])
def test_the_quota_of_a_container_counts(tmp_path: Path, quota: str, limit: int | None) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(quota)
    without = count_cores(tmp_path / "missing")
    assert count_cores(file) == (without if limit is None else limit)
