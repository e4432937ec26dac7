"""verl's configuration of an SFT stage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipelines.errors import InputError
from pipelines.recipe.schema import SftStage
from pipelines.trainers.base import Launch, Platform
from pipelines.trainers.verl.sft.trainer import launch
from tests.pipelines.trainers.verl.rl.test_config import shown
from tests.pipelines.trainers.verl.stages import context, sft_stage

Golden = Callable[[str, str], None]

FLASH = {"model.override_config.attn_implementation": "flash_attention_2"}


def settings(stage: SftStage, platform: Platform = "cpu", gpus: int = 1) -> Any:
    rendered: Launch = launch(stage, context(stage, platform, gpus_per_node=gpus))
    return YAML(typ="safe").load(rendered.files["train.yaml"])


def test_two_processes_on_a_cpu(golden: Golden) -> None:
    stage = sft_stage(save_every=4, validate_every=2, keep_best=True, lora={"rank": 4, "alpha": 8, "target": "q_proj, v_proj"})
    golden("verl/sft_cpu.txt", shown(launch(stage, context(stage, gpus_per_node=2))))


def test_packed_rows_on_eight_gpus(golden: Golden) -> None:
    stage = sft_stage(
        steps=..., epochs=3.0, packing=True, save_every=100, verl={**FLASH, "optim": {"lr_scheduler_type": "cosine"}}
    )
    golden("verl/sft_cuda.txt", shown(launch(stage, context(stage, "cuda", gpus_per_node=8))))


def test_batch_size_includes_all_devices() -> None:
    data = settings(sft_stage(), "cuda", gpus=4)["data"]
    assert (data["train_batch_size"], data["micro_batch_size_per_gpu"]) == (2 * 3 * 4, 2)


def test_no_validation_file_without_validation() -> None:
    """With a file, verl would also validate at the last step, and fail without rows."""
    assert settings(sft_stage())["data"]["val_files"] is None
    assert settings(sft_stage(validate_every=2))["data"]["val_files"] == "/runs/demo/stages/one/data/validation.parquet"


def test_custom_logger_keeps_the_metrics_file() -> None:
    assert settings(sft_stage(verl={"trainer.logger": "wandb"}))["trainer"]["logger"] == ["wandb", "file"]


@pytest.mark.parametrize(
    ("changes", "platform", "message"),
    [
        (
            {"packing": True},
            "cpu",
            "stage one: packing: verl packs rows with flash-attn, which a cpu does not have; remove it",
        ),
        ({"packing": True}, "cuda", "stage one: packing: verl packs rows with flash-attn; set `verl: {model.override_config"),
        ({"steps": ..., "epochs": 1.5}, "cpu", "stage one: verl trains whole epochs, not 1.5; use `steps` instead"),
    ],
)
def test_unsupported_settings_are_rejected(changes: dict[str, Any], platform: Platform, message: str) -> None:
    with pytest.raises(InputError) as caught:
        settings(sft_stage(**changes), platform)
    assert str(caught.value).startswith(message)
