"""The published settings of the five systems are in the trainers' configurations; each is listed with its source.

If sources disagree, the settings of the script that was run are used (docs/recipes.md lists the disagreements).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipelines.recipe.nested import get_path
from tests.pipelines.run.test_plan import FOR_CPU, RECIPES, plan_of

# stage -> key of the trainer's configuration -> value. From the paper's repository: ExecVerify_sft.yaml,
# stage_one_rl.sh and stage_two_rl.sh (arXiv 2603.11226).
EXECVERIFY: dict[str, dict[str, Any]] = {
    "sft": {
        "stage": "sft",
        "finetuning_type": "full",
        "deepspeed": "/checkouts/llamafactory/examples/deepspeed/ds_z3_config.json",
        "template": "qwen",
        "cutoff_len": 4096,
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 8,
        "learning_rate": 1e-5,
        "num_train_epochs": 2.0,
        "lr_scheduler_type": "cosine",
        "warmup_ratio": 0.1,
        "bf16": True,
    },
    "stage-one": {"trainer.total_epochs": 4},
    "stage-two": {
        "trainer.total_epochs": 5,
        # code_gen.py: at most 10 tests, 0.05 for the answer tags
        "reward.custom_reward_function.reward_kwargs.rewards": [
            {"name": "code_tests", "options": {"format_bonus": 0.05, "max_tests": 10}}
        ],
    },
}
BOTH_STAGES = {
    "algorithm.adv_estimator": "grpo",
    "data.train_batch_size": 128,
    "data.max_prompt_length": 2048,
    "data.max_response_length": 4096,
    "actor_rollout_ref.actor.optim.lr": 1e-6,
    "actor_rollout_ref.actor.ppo_mini_batch_size": 64,
    "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu": 1,
    "actor_rollout_ref.actor.use_kl_loss": None,  # verl's default: false
    "algorithm.use_kl_in_reward": None,  # verl's default: false
    "actor_rollout_ref.actor.entropy_coeff": 0,
    "actor_rollout_ref.model.enable_gradient_checkpointing": True,
    "actor_rollout_ref.actor.fsdp_config.param_offload": True,
    "actor_rollout_ref.actor.fsdp_config.optimizer_offload": True,
    "actor_rollout_ref.ref.fsdp_config.param_offload": True,
    "actor_rollout_ref.rollout.name": "vllm",
    "actor_rollout_ref.rollout.n": 8,
    "actor_rollout_ref.rollout.tensor_model_parallel_size": 4,
    "actor_rollout_ref.rollout.gpu_memory_utilization": 0.9,
    "trainer.n_gpus_per_node": 8,
    "trainer.nnodes": 1,
    "trainer.save_freq": 500,
}

# VERL-SQA: PPO with actor and critic, Qwen2.5-3B-Instruct, 5 epochs, batches of 64, 4 GPUs, validation every 200 steps.
APPS_PPO = {
    "algorithm.adv_estimator": "gae",
    "actor_rollout_ref.model.path": "Qwen/Qwen2.5-3B-Instruct",
    "critic.model.path": "Qwen/Qwen2.5-3B-Instruct",
    "trainer.total_epochs": 5,
    "data.train_batch_size": 64,
    "actor_rollout_ref.actor.ppo_mini_batch_size": 64,
    "actor_rollout_ref.actor.optim.lr": 1e-6,
    "critic.optim.lr": 1e-5,
    "trainer.n_gpus_per_node": 4,
    "trainer.test_freq": 200,
    # its reward is the share of tests passed; APPS' own grader gives each 4 s
    "reward.custom_reward_function.reward_kwargs.rewards": [
        {"name": "code_tests", "options": {"max_tests": 100, "seconds": 4.0}}
    ],
}

# custom_sft's notes: supervised fine-tuning at 1e-5 with batches of 256 and more, by verl's trainer; its script of GRPO.
CUSTOM_SFT: dict[str, dict[str, Any]] = {
    "sft": {
        "data.train_batch_size": 256,
        "optim.lr": 1e-5,
    },
    "rl": {
        "algorithm.adv_estimator": "grpo",
        "data.train_batch_size": 1024,  # its quick start: 128
        "actor_rollout_ref.actor.ppo_mini_batch_size": 256,  # its quick start: 16
        "actor_rollout_ref.actor.optim.lr": 1e-6,
        "actor_rollout_ref.actor.use_kl_loss": True,
        "actor_rollout_ref.actor.kl_loss_coef": 0.001,  # its quick start: 0.1
        "algorithm.use_kl_in_reward": None,  # verl's default: false
        "actor_rollout_ref.rollout.n": 5,  # 5 to 10
    },
}

# run_qwen25_coder_python_interpreter.sh and, for other keys, qwen25_coder_python_interpreter.yaml.
PYTHON_INTERPRETER = {
    "algorithm.adv_estimator": "grpo",
    "actor_rollout_ref.model.path": "Qwen/Qwen2.5-Coder-1.5B-Instruct",
    "data.train_batch_size": 64,  # its README: 128
    "data.max_prompt_length": 1024,  # its README: 2,048 with the response, its yaml: 2,048 each
    "data.max_response_length": 1024,
    "actor_rollout_ref.actor.optim.lr": 1e-6,
    "actor_rollout_ref.actor.optim.lr_warmup_steps_ratio": 0.1,  # the yaml
    "actor_rollout_ref.actor.ppo_mini_batch_size": 64,
    "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu": 8,
    "actor_rollout_ref.actor.use_kl_loss": True,
    "actor_rollout_ref.actor.kl_loss_coef": 0.001,
    "actor_rollout_ref.actor.kl_loss_type": "low_var_kl",
    "actor_rollout_ref.actor.entropy_coeff": 0.01,
    "actor_rollout_ref.model.enable_gradient_checkpointing": True,
    "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu": 16,
    "actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu": 16,
    "actor_rollout_ref.ref.fsdp_config.param_offload": True,
    "actor_rollout_ref.rollout.tensor_model_parallel_size": 1,
    "actor_rollout_ref.rollout.gpu_memory_utilization": 0.6,
    "actor_rollout_ref.rollout.n": 4,
    "actor_rollout_ref.rollout.multi_turn.enable": True,
    "actor_rollout_ref.rollout.multi_turn.max_assistant_turns": 10,  # the yaml's max_turns
    "trainer.total_training_steps": 16 * (1890 // 64),  # 16 epochs of its 1,890 rows
    "trainer.n_gpus_per_node": 4,
    "trainer.nnodes": 1,
    "trainer.save_freq": 20,
    "trainer.test_freq": 10,
}

# InternBootcamp, examples/verl_usage/run_bootcamp.sh.
BOOTCAMP = {
    "algorithm.adv_estimator": "grpo",
    "data.train_batch_size": 64,
    "data.max_prompt_length": 4096,
    "data.max_response_length": 8192,
    "actor_rollout_ref.actor.optim.lr": 1e-6,
    "actor_rollout_ref.actor.ppo_mini_batch_size": 32,
    "actor_rollout_ref.actor.use_kl_loss": True,
    "actor_rollout_ref.actor.kl_loss_coef": 0.001,
    "actor_rollout_ref.actor.kl_loss_type": "low_var_kl",
    "actor_rollout_ref.model.enable_gradient_checkpointing": True,
    "actor_rollout_ref.ref.fsdp_config.param_offload": True,
    "actor_rollout_ref.rollout.tensor_model_parallel_size": 4,
    "actor_rollout_ref.rollout.max_num_batched_tokens": 32768,
    "actor_rollout_ref.rollout.max_num_seqs": 32,
    "actor_rollout_ref.rollout.gpu_memory_utilization": 0.65,
    "actor_rollout_ref.rollout.n": 4,
    "trainer.n_gpus_per_node": 8,
    "trainer.nnodes": 1,
    "trainer.save_freq": 20,
    "trainer.test_freq": 20,
    "trainer.total_epochs": 1,
    "reward.custom_reward_function.reward_kwargs.rewards": [
        {"name": "bootcamp", "data_source": "bootcamp/*"},
        {"name": "verl"},
    ],
}

PUBLISHED: dict[str, dict[str, dict[str, Any]]] = {
    "execverify.yaml": {
        "sft": EXECVERIFY["sft"],
        "stage-one": BOTH_STAGES | EXECVERIFY["stage-one"],
        "stage-two": BOTH_STAGES | EXECVERIFY["stage-two"],
    },
    "apps_ppo.yaml": {"rl": APPS_PPO},
    "custom_sft.yaml": CUSTOM_SFT,
    "python_interpreter.yaml": {"rl": PYTHON_INTERPRETER},
    "bootcamp.yaml": {"rl": BOOTCAMP},
}


@cache
def configuration(recipe: str, stage: str) -> dict[str, Any]:
    """Return the configuration of the stage's trainer."""
    plan = plan_of(recipe, "cuda")
    read: dict[str, Any] = YAML(typ="safe", pure=True).load(plan.step(f"{stage}/train").launch.files["train.yaml"])
    return read


@pytest.mark.parametrize(
    ("recipe", "stage", "key", "value"),
    [
        (recipe, stage, key, value)
        for recipe, stages in PUBLISHED.items()
        for stage, settings in stages.items()
        for key, value in settings.items()
    ],
)
def test_published_setting(recipe: str, stage: str, key: str, value: Any) -> None:
    assert get_path(configuration(recipe, stage), key) == value


def test_recipes_have_published_settings() -> None:
    assert {*RECIPES} - {*PUBLISHED} == FOR_CPU


def test_published_tool_settings() -> None:
    """python_interpreter_tool_config.yaml: a time limit of 30 s, 10 calls at once."""
    files = plan_of("python_interpreter.yaml", "cuda").step("rl/train").launch.files
    [tool] = YAML(typ="safe", pure=True).load(files["tool.yaml"])["tools"]
    assert (tool["config"]["seconds"], tool["config"]["concurrency"]) == (30.0, 10)


def test_custom_sft_uses_verls_sft_trainer() -> None:
    assert "verl.trainer.sft_trainer" in plan_of("custom_sft.yaml", "cuda").step("sft/train").launch.argv
