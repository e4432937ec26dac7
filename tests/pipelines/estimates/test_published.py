"""Estimates next to published figures: LLaMA-Factory's table, and configurations of verl that fit their GPUs or do not."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.estimates.memory import estimate_memory
from pipelines.estimates.shapes import read_shape
from pipelines.recipe.schema import Hardware, RlStage, SftStage, TinyModel
from tests.pipelines.trainers.verl.stages import rl_stage, sft_stage

H100 = 81559 << 20
"""Bytes of an H100, H800 or A100 of 80 GB, as nvidia-smi prints them."""

# README of LLaMA-Factory 0.9.5, "Hardware Requirement": GB, by method and size.
METHODS: dict[str, tuple[dict[str, Any], dict[str, int]]] = {
    "full": ({}, {"7b": 120, "13b": 240, "70b": 1200}),
    "full, pure_bf16": ({"llamafactory": {"pure_bf16": True}}, {"7b": 60, "13b": 120, "70b": 600}),
    "LoRA": ({"lora": {"rank": 8}}, {"7b": 16, "13b": 32, "70b": 160}),
    "QLoRA, 8 bits": ({"lora": {"rank": 8}, "llamafactory": {"quantization_bit": 8}}, {"7b": 10, "13b": 20, "70b": 80}),
    "QLoRA, 4 bits": ({"lora": {"rank": 8}, "llamafactory": {"quantization_bit": 4}}, {"7b": 6, "13b": 12, "70b": 48}),
}


@pytest.mark.parametrize("size", ["7b", "13b", "70b"])
@pytest.mark.parametrize("method", METHODS)
def test_table_of_llamafactory(method: str, size: str) -> None:
    """Its figures are rounded estimates themselves, for models of 7, 14 and 70 billion weights."""
    fields, published = METHODS[method]
    shape = read_shape(f"meta-llama/Llama-2-{size}-hf")
    assert shape is not None
    stage = sft_stage(trainer="llamafactory", template="qwen", max_tokens=256, batch={"per_device": 1}, **fields)
    memory = estimate_memory(stage, Hardware(), "cuda", shape)
    assert memory.peak.bytes / 1e9 == pytest.approx(published[size], rel=0.3)


def _grpo(micro: int, tokens: tuple[int, int] = (200, 250), **fields: Any) -> dict[str, Any]:
    """Return a stage whose rows have the usual lengths of GSM8K, which are below the limits of the published scripts."""
    rollout = {"samples": 5, "max_prompt_tokens": tokens[0], "max_response_tokens": tokens[1], **fields.pop("rollout", {})}
    verl = {"actor_rollout_ref.model.override_config.attn_implementation": "flash_attention_2", **fields.pop("verl", {})}
    return {"batch": {"prompts": 1024, "mini": 1024, "micro_per_gpu": micro}, "rollout": rollout, "verl": verl, **fields}


OFFLOAD = {f"actor_rollout_ref.actor.fsdp_config.{key}": True for key in ("param_offload", "optimizer_offload")}
OFFLOAD |= {"actor_rollout_ref.ref.fsdp_config.param_offload": True}
ENTROPY = {"actor_rollout_ref.actor.entropy_coeff": 0.001}
LORA: dict[str, Any] = {"lora": {"rank": 32, "alpha": 32}, "kl": {}, "verl": OFFLOAD | ENTROPY}

# Scripts of verl's documentation (docs/perf/device_tuning.rst, examples/tuning): all of them ran.
FIT = {
    "Qwen/Qwen2.5-0.5B": (1, _grpo(116, rollout={"gpu_memory": 0.1}, **LORA)),
    "Qwen/Qwen2.5-Math-1.5B": (1, _grpo(4, (1024, 3000), rollout={"gpu_memory": 0.4})),
    "Qwen/Qwen2.5-7B": (1, _grpo(16, rollout={"gpu_memory": 0.2}, **LORA)),
    "Qwen/Qwen2.5-Coder-14B": (4, _grpo(16, rollout={"tensor_parallel": 4}, kl={}, verl=OFFLOAD)),
}


# Peaks of main memory, in GB, that were measured with a tiny model on two cores, with the pinned trainers.
MEASURED: dict[str, tuple[SftStage | RlStage, int, float]] = {
    "SFT by LLaMA-Factory": (sft_stage(trainer="llamafactory", template="qwen"), 1, 0.64),
    "GRPO": (rl_stage(), 1, 3.3),
    "GRPO with two workers": (rl_stage(), 2, 4.8),
}


@pytest.mark.parametrize("name", MEASURED)
def test_tiny_trainings_on_a_cpu(name: str) -> None:
    """Trainings of larger models are measured by benchmarks/memory.py."""
    stage, workers, measured = MEASURED[name]
    shape = read_shape(TinyModel(make="qwen2", hidden_size=64, heads=2))
    assert shape is not None
    memory = estimate_memory(stage, Hardware(platform="cpu", gpus_per_node=workers), "cpu", shape)
    assert memory.host.bytes / 1e9 == pytest.approx(measured, rel=0.2)


@pytest.mark.parametrize("name", FIT)
def test_what_ran_fits(name: str) -> None:
    gpus, fields = FIT[name]
    shape = read_shape(name)
    assert shape is not None
    memory = estimate_memory(rl_stage(**fields), Hardware(gpus_per_node=gpus), "cuda", shape, H100)
    assert memory.peak.bytes < H100, [(each.name, each.bytes) for each in memory.gpu]
    assert "do not fit" not in memory.notes[0]


@pytest.mark.parametrize(("name", "least"), [("Qwen/Qwen2-7B", 2), ("Qwen/Qwen2.5-Coder-14B", 4)])
def test_half_of_the_least_gpus_are_too_few(name: str, least: int) -> None:
    """The table names the least GPUs of 80 GB for GRPO of all weights."""
    shape = read_shape(name)
    assert shape is not None
    fields = _grpo(1, kl={}, verl=OFFLOAD, rollout={"tensor_parallel": min(8, least // 2)})
    peaks = [
        estimate_memory(rl_stage(**fields), Hardware(gpus_per_node=gpus), "cuda", shape, H100).peak.bytes / H100
        for gpus in (least, least // 2)
    ]
    assert peaks[0] < 1
    assert peaks[1] > 1
