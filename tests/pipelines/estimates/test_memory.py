"""The memory of stages, term by term."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.estimates.memory import estimate_memory
from pipelines.estimates.shapes import Shape, read_shape
from pipelines.estimates.terms import Memory, Phase
from pipelines.recipe.schema import Hardware
from tests.pipelines.trainers.verl.stages import rl_stage, sft_stage

GB = 1e9


def shape(name: str = "Qwen/Qwen2.5-7B") -> Shape:
    found = read_shape(name)
    assert found is not None
    return found


def sft(gpus: int = 1, **fields: Any) -> Phase:
    """Return the only phase of an SFT stage by LLaMA-Factory."""
    fields = {"trainer": "llamafactory", "template": "qwen", "max_tokens": 512, "batch": {"per_device": 1}} | fields
    (phase,) = estimate_memory(sft_stage(**fields), Hardware(gpus_per_node=gpus), "cuda", shape()).gpu
    return phase


def rl(gpus: int = 8, memory: float | None = None, **fields: Any) -> Memory:
    given = None if memory is None else round(memory * GB)
    return estimate_memory(rl_stage(**fields), Hardware(gpus_per_node=gpus), "cuda", shape(), given)


def phase(memory: Memory, name: str) -> dict[str, int]:
    (found,) = [each for each in memory.gpu if each.name == name]
    return {term.name: term.bytes for term in found.terms}


def states(found: Phase) -> float:
    """Return the bytes per weight of weights, gradients and optimizer."""
    names = ("weights", "gradients", "optimizer")
    return sum(term.bytes for term in found.terms if term.name.startswith(names)) / shape().parameters


@pytest.mark.parametrize(
    ("keys", "gpus", "expected"),
    [
        ({}, 1, 18),  # 16, and a copy in 16 bits
        ({"pure_bf16": True}, 1, 8),
        ({"deepspeed": "zero2"}, 8, 2 + 14 / 8),
        ({"deepspeed": "zero3"}, 8, 2),
        ({"deepspeed": "zero3_offload"}, 8, 2 / 8),  # gradients only
    ],
)
def test_states_of_zero(keys: dict[str, object], gpus: int, expected: float) -> None:
    assert states(sft(gpus, llamafactory=keys)) == pytest.approx(expected, rel=0.01)


def test_adapters_leave_the_weights() -> None:
    assert states(sft(lora={"rank": 8})) == pytest.approx(2, rel=0.03)
    assert states(sft(lora={"rank": 8}, llamafactory={"quantization_bit": 4})) == pytest.approx(0.5, rel=0.1)


def test_logits_grow_with_rows_tokens_and_vocabulary() -> None:
    found = {term.name: term.bytes for term in sft(max_tokens=1024, batch={"per_device": 2}).terms}
    assert found["logits"] == 2 * 1024 * 152064 * 14


def test_checkpointing_keeps_the_input_of_each_layer() -> None:
    kept, recomputed = (
        next(term.bytes for term in sft(llamafactory=keys).terms if term.name == "activations")
        for keys in ({"disable_gradient_checkpointing": True}, {})
    )
    one = kept / shape().layers
    assert recomputed == pytest.approx(one + 512 * shape().layers * 2 * shape().hidden, rel=0.001)


def test_verl_shards_and_offloads() -> None:
    actor = "actor_rollout_ref.actor.fsdp_config"
    plain, off = rl(8), rl(8, verl={f"{actor}.param_offload": True, f"{actor}.optimizer_offload": True})
    updating = phase(plain, "update the policy")
    assert updating["optimizer of the policy"] == round(8 * shape().parameters / 8)
    assert "optimizer of the policy" in phase(plain, "generate")
    # Loaded for the update, and in main memory while vLLM generates.
    assert phase(off, "update the policy") == updating
    assert not any(name.endswith("of the policy") for name in phase(off, "generate"))
    assert off.host.bytes - plain.host.bytes == pytest.approx(12 * shape().parameters)


def test_ppo_has_a_critic_and_kl_a_reference() -> None:
    memory = rl(8, algorithm="ppo", critic={}, kl={})
    assert [each.name for each in memory.gpu][2:] == ["update the policy", "score with the reference", "update the critic"]
    assert "logits of the critic" not in phase(memory, "update the critic")
    assert "optimizer of the critic" in phase(memory, "update the policy")
    # FSDP2 keeps the weights of a model that is not trained in main memory.
    assert "weights of the reference" not in phase(memory, "score with the reference")
    assert "weights of the reference" in {term.name for term in memory.host.terms}
    adapters = rl(8, kl={}, lora={"rank": 8})
    assert not any("the reference" in term.name for each in (*adapters.gpu, adapters.host) for term in each.terms)


def test_vllm_takes_its_share() -> None:
    memory = rl(8, 80, rollout={"samples": 4, "max_prompt_tokens": 256, "max_response_tokens": 128, "gpu_memory": 0.4})
    assert phase(memory, "generate")["vLLM's share"] == 32 * GB
    # 32 GB less 15.2 GB of weights and a reserve, at 57,344 bytes per token.
    assert memory.notes[0].startswith("vLLM generates ")
    assert int(memory.notes[0].split()[2].replace(",", "")) == pytest.approx((32 - 15.2 - 1) * GB / 57344 / 384, rel=0.02)
    small = rl(8, 24)
    assert "do not fit its share" in small.notes[0]


def test_the_largest_term_names_its_key() -> None:
    many = rl(8, batch={"prompts": 64, "mini": 64, "micro_per_gpu": 64}).peak
    assert (many.largest.name, many.largest.lower) == ("logits of the policy", "batch.micro_per_gpu")
    one = sft()
    assert (one.largest.name, one.largest.lower) == ("optimizer", "`lora`")


def test_on_a_cpu_main_memory_holds_everything() -> None:
    memory = estimate_memory(rl_stage(), Hardware(platform="cpu"), "cpu", shape("Qwen/Qwen2.5-0.5B"))
    assert memory.gpu == () and memory.peak is memory.host
    assert {term.name for term in memory.host.terms} >= {"processes", "optimizer of the policy", "vLLM's weights"}
