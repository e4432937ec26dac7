"""Numbers that do not match each other, the hardware or the model are reported in one line when the recipe is loaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.recipe.loading import load
from pipelines.recipe.upstream_keys import templates

from .conftest import Write, problems

GPUS = "hardware={nodes: 1, gpus_per_node: 8}"
PPO = ["stages.rl.algorithm=ppo", "stages.rl.critic.learning_rate=1e-5"]

# Changes of the small recipe (8 prompts in mini batches of 4, 8 samples, micro batches of 1), and the line of the error.
CASES: dict[str, tuple[list[str], str]] = {
    "responses per step": (
        [GPUS, "stages.rl.batch={prompts: 9, mini: 3}", "stages.rl.rollout.samples=4"],
        "--set stages.rl.batch: stages.rl.batch.prompts: 9 prompts x 4 samples = 36 responses per step cannot be divided "
        "evenly among 8 GPUs; batch.prompts and batch.mini must be multiples of 2",
    ),
    "responses per update": (
        ["hardware={nodes: 2, gpus_per_node: 8}", "stages.rl.batch={prompts: 8, mini: 2}", "stages.rl.rollout.samples=4"],
        "--set stages.rl.batch: stages.rl.batch.mini: 2 prompts x 4 samples = 8 responses per update cannot be divided "
        "evenly among 2 x 8 GPUs; use 4 prompts",
    ),
    "responses per forward pass": (
        [GPUS, "stages.rl.batch={prompts: 128, mini: 64, micro_per_gpu: 3}"],
        "--set stages.rl.batch: stages.rl.batch.micro_per_gpu: 3 responses per forward pass do not divide the 64 of each GPU "
        "per update (64 prompts x 8 samples = 512 responses, among 8 GPUs); use 2 or 4",
    ),
    "the critic's responses per update": (
        [
            "hardware.gpus_per_node=4",
            *PPO,
            "stages.rl.rollout.samples=1",
            "stages.rl.verl.critic.ppo_mini_batch_size=2",
        ],
        "--set stages.rl.verl.critic.ppo_mini_batch_size: 2 prompts x 1 samples = 2 responses per update cannot be divided "
        "evenly among 4 GPUs; use 4 prompts",
    ),
    "the critic's responses per forward pass": (
        [*PPO, "stages.rl.verl.critic.ppo_micro_batch_size_per_gpu=3"],
        "--set stages.rl.verl.critic.ppo_micro_batch_size_per_gpu: 3 responses per forward pass do not divide the 32 of each "
        "GPU per update (4 prompts x 8 samples = 32 responses, among 1 GPU); use 2 or 4",
    ),
    "responses per scoring pass": (
        ["stages.rl.kl.coefficient=0.1", "stages.rl.verl.actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu=5"],
        "--set stages.rl.verl.actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu: 5 responses per forward pass do not "
        "divide the 64 of each GPU per step; use 4 or 8",
    ),
    "GPUs per sequence": (
        [GPUS, "stages.rl.verl.actor_rollout_ref.actor.ulysses_sequence_parallel_size=3"],
        "--set stages.rl.verl.actor_rollout_ref.actor.ulysses_sequence_parallel_size: 3 GPUs per sequence do not divide 8 "
        "GPUs; use 2 or 4",
    ),
    "tensor parallelism": (
        [GPUS, "stages.rl.rollout.tensor_parallel=3"],
        "--set stages.rl.rollout.tensor_parallel: 3 GPUs per copy of the model do not fit 8 GPUs; use 2 or 4",
    ),
    "tensor parallelism beyond the machine": (
        ["stages.rl.rollout.tensor_parallel=4"],
        "--set stages.rl.rollout.tensor_parallel: 4 GPUs per copy of the model do not fit 1 GPU; use 1",
    ),
    "tensor parallelism across two machines": (
        ["hardware={nodes: 2, gpus_per_node: 6}", "stages.rl.rollout={samples: 12, tensor_parallel: 4, max_prompt_tokens: 9, "
         "max_response_tokens: 9}"],
        "--set stages.rl.rollout: stages.rl.rollout.tensor_parallel: 4 GPUs per copy of the model do not fit 2 x 6 GPUs; "
        "use 3 or 6",
    ),
    "unknown template": (
        ["stages.sft.template=qwn"],
        "--set stages.sft.template: LLaMA-Factory has no template 'qwn'; did you mean 'qwen'?",
    ),
    "template that replaces the model's": (
        ["stages.sft.template=chatml"],
        "--set stages.sft.template: chatml would replace the model's chat template, which stage rl uses for its "
        "prompts; use one that keeps it, such as qwen, or null",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_mismatch_is_one_line(write: Write, case: str) -> None:
    sets, line = CASES[case]
    assert problems("small.yaml", *sets) == [line]


@pytest.mark.parametrize(
    "sets",
    [
        [GPUS],
        [GPUS, "stages.rl.batch={prompts: 128, mini: 64, micro_per_gpu: 2}", "stages.rl.rollout.tensor_parallel=4"],
        [GPUS, "stages.rl.batch={prompts: 9, mini: 3}"],
        ["hardware={nodes: 2, gpus_per_node: 4}", "stages.rl.rollout.tensor_parallel=8"],
        # With one sequence on all GPUs, nothing is divided.
        [GPUS, "stages.rl.batch={prompts: 3, mini: 3}", "stages.rl.rollout.samples=8",
         "stages.rl.verl.actor_rollout_ref.actor.ulysses_sequence_parallel_size=8"],
        # Without a penalty, there is no reference model.
        ["stages.rl.verl.actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu=5"],
        # Forward passes that are filled by tokens.
        ["stages.rl.batch.micro_per_gpu=3", "stages.rl.verl.actor_rollout_ref.actor.use_dynamic_bsz=true"],
        # Other engines divide the GPUs differently.
        [GPUS, "stages.rl.batch.micro_per_gpu=3", "stages.rl.verl.actor_rollout_ref.actor.strategy=megatron",
         "stages.rl.verl.model_engine=megatron", "environments.verl=/opt/verl/bin/python"],
        # No stage starts from the model with this template.
        ["stages.sft.template=chatml", "stages.rl.init_from=owner/name"],
    ],
)  # fmt: skip
def test_valid_numbers(write: Write, sets: list[str]) -> None:
    load(Path("small.yaml"), sets)


def test_sequence_parallelism_beyond_the_gpus(write: Write) -> None:
    key = "stages.rl.verl.actor_rollout_ref.actor.ulysses_sequence_parallel_size"
    scoring = "stages.rl.verl.actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu=3"
    (line,) = problems("small.yaml", f"{key}=2", scoring)
    assert line.startswith(f"--set {key}: 2 GPUs per sequence do not divide")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model with 14 attention heads, 2 key and value heads, 512 positions and no chat template."""
    path = tmp_path / "model"
    path.mkdir()
    config = {"num_attention_heads": 14, "num_key_value_heads": 2, "max_position_embeddings": 512}
    (path / "config.json").write_text(json.dumps(config))
    (path / "tokenizer_config.json").write_text("{}")
    return path


def test_model_folder_is_checked(write: Write, folder: Path) -> None:
    model = [f"model={folder}", "hardware.gpus_per_node=4"]
    assert problems("small.yaml", *model, "stages.rl.rollout.tensor_parallel=4") == [
        "--set stages.rl.rollout.tensor_parallel: 4 GPUs do not divide the model's 14 attention heads; use 2"
    ]
    assert problems("small.yaml", *model, "stages.rl.rollout.max_response_tokens=300") == [
        "--set stages.rl.rollout.max_response_tokens: max_prompt_tokens 256 + max_response_tokens 300 = 556, "
        "and the model has 512 positions (max_position_embeddings)"
    ]
    load(Path("small.yaml"), [*model, "stages.sft.template=chatml"])  # no template to replace


def test_tiny_model_is_checked(write: Write) -> None:
    assert problems("small.yaml", "model={make: qwen2, max_tokens: 300}") == [
        "small.yaml:22: stages.rl.rollout.max_response_tokens: max_prompt_tokens 256 + max_response_tokens 256 = 512, "
        "and the model has 300 positions (max_position_embeddings)"
    ]


def test_critic_like_the_actor_is_reported_once(write: Write) -> None:
    assert (
        len(
            problems(
                "small.yaml",
                GPUS,
                "stages.rl.algorithm=ppo",
                "stages.rl.critic.learning_rate=1e-5",
                "stages.rl.batch.micro_per_gpu=3",
            )
        )
        == 1
    )


def test_all_mistakes_are_reported(write: Write) -> None:
    sets = [GPUS, "stages.sft.template=qwn", "stages.rl.rollout.tensor_parallel=3", "stages.rl.batch.micro_per_gpu=5"]
    assert len(problems("small.yaml", *sets)) == 3


def test_templates_that_replace_the_models() -> None:
    assert [name for name, replaces in templates().items() if replaces][:3] == ["alpaca", "chatml", "chatml_de"]
