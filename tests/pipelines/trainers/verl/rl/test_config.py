"""verl's configuration of an RL stage."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from pipelines.errors import InputError
from pipelines.recipe.loading import load
from pipelines.recipe.schema import RlStage
from pipelines.trainers.base import Launch, Platform
from pipelines.trainers.verl.rl.config import launch
from pipelines.trainers.verl.rl.trainer import disk_usage, export
from preprocess.config import Sandbox
from rewards import entry
from tests import ROOT
from tests.pipelines.trainers.verl.stages import context, rl_stage

Golden = Callable[[str, str], None]


def settings(rendered: Launch) -> Any:
    return YAML(typ="safe").load(rendered.files["train.yaml"])


def shown(rendered: Launch) -> str:
    """Return a launch as one text."""
    variables = [f"{name}={value}" for name, value in sorted(rendered.environment.items())]
    files = [f"--- {name}\n{text}" for name, text in rendered.files.items()]
    return "\n".join([*rendered.argv, "", *variables, "", *files]).replace(str(ROOT), "<project>")


def test_grpo_on_a_cpu(golden: Golden) -> None:
    stage = rl_stage(save_every=2, validate_every=2)
    golden("verl/grpo_cpu.txt", shown(launch(stage, context(stage))))


def test_ppo_with_a_critic_and_kl_on_two_cpu_workers(golden: Golden) -> None:
    stage = rl_stage(
        algorithm="ppo",
        critic={"learning_rate": 1e-5, "warmup_steps": 1},
        kl={"place": "reward", "coefficient": 0.01, "estimator": "kl"},
        reward=[
            {"name": "code_tests", "options": {"max_tests": 10}, "data_source": "apps/*"},
            {"name": "mine", "file": "/plugins/mine.py", "weight": 0.5},
        ],
    )
    golden("verl/ppo_cpu.txt", shown(launch(stage, context(stage, gpus_per_node=2))))


def test_published_settings_of_execverify(golden: Golden) -> None:
    stage = rl_stage(
        steps=...,
        epochs=4.0,
        batch={"prompts": 128, "mini": 64, "micro_per_gpu": 1},
        rollout={
            "samples": 8,
            "max_prompt_tokens": 2048,
            "max_response_tokens": 4096,
            "tensor_parallel": 4,
            "gpu_memory": 0.9,
        },
        save_every=500,
        verl={
            "actor_rollout_ref.actor.fsdp_config": {"param_offload": True, "optimizer_offload": True},
            "actor_rollout_ref.model.enable_gradient_checkpointing": True,
            "actor_rollout_ref.actor.entropy_coeff": 0,
        },
    )
    golden("verl/execverify_cuda.txt", shown(launch(stage, context(stage, "cuda", gpus_per_node=8))))


@pytest.mark.parametrize(
    ("verl", "nodes", "name", "workers"),
    [
        ({}, 1, "compute_score", 8),
        ({"reward.num_workers": 6}, 4, "compute_score", 2),
        ({"reward": {"reward_manager": {"name": "dapo"}, "num_workers": 4}}, 1, "compute_score", 4),
        ({"reward.reward_manager.name": "remote", "reward.num_workers": 3}, 1, "compute_score_blocking", 9),
    ],
)
def test_reward_function_matches_reward_manager(verl: dict[str, Any], nodes: int, name: str, workers: int) -> None:
    stage = rl_stage(verl=verl, max_failed_rewards=0.25, max_reward_seconds=9.0)
    rendered = settings(launch(stage, context(stage, "cuda", nodes=nodes)))["reward"]["custom_reward_function"]
    assert (rendered["path"], rendered["name"]) == ("pkg://rewards.entry", name)
    assert rendered["reward_kwargs"] == {
        "rewards": [{"name": "white_box"}],
        "max_failed": 0.25,
        "seconds": 9.0,
        "failures": "/runs/demo/stages/one/train/rewards/failures.jsonl",
        "workers": workers,
        "sandbox": {},
    }
    assert callable(getattr(entry, name))
    assert inspect.iscoroutinefunction(getattr(entry, name)) is (name == "compute_score"), "verl awaits coroutine functions"


@pytest.mark.parametrize(
    ("validation", "expected"),
    [
        ({}, None),
        ({"temperature": 0.0}, None),
        ({"samples": 4}, {"n": 4, "do_sample": True, "temperature": 0.6, "top_p": 0.9}),
        ({"samples": 2, "temperature": 1.0}, {"n": 2, "do_sample": True, "temperature": 1.0, "top_p": 0.9}),
        ({"temperature": 1.0}, {"n": 1, "do_sample": True, "temperature": 1.0, "top_p": 0.9}),
    ],
)
def test_sampling_in_validation(validation: dict[str, Any], expected: Any) -> None:
    rollout = {"samples": 4, "max_prompt_tokens": 256, "max_response_tokens": 128, "temperature": 0.6, "top_p": 0.9}
    stage = rl_stage(validate_every=2, validation=validation, rollout=rollout)
    assert settings(launch(stage, context(stage)))["actor_rollout_ref"]["rollout"].get("val_kwargs") == expected


def test_rewards_use_the_sandbox_of_the_recipe() -> None:
    stage = rl_stage()
    base = context(stage)
    recipe = base.recipe.model_copy(update={"sandbox": Sandbox(url="http://localhost:8080", workers=3)})
    rendered = settings(launch(stage, replace(base, recipe=recipe)))["reward"]["custom_reward_function"]["reward_kwargs"]
    assert rendered["sandbox"] == {"url": "http://localhost:8080", "workers": 3}


@pytest.mark.parametrize(
    ("changes", "retrains"),
    [
        ({"max_failed_rewards": 0.5, "max_reward_seconds": 9.0}, False),
        ({"keep_samples": 0}, False),
        ({"reward": {"name": "white_box", "weight": 2.0}}, True),
        ({"reward": "code_tests"}, True),
        ({"learning_rate": 0.5}, True),
    ],
)
def test_abort_limits_are_not_in_the_cache_key(changes: dict[str, Any], retrains: bool) -> None:
    before, after = (launch(stage, context(stage)) for stage in (rl_stage(), rl_stage(**changes)))
    assert before.files != after.files
    assert (before.cache_key_files != after.cache_key_files) is retrains


def test_kl_in_the_loss() -> None:
    stage = rl_stage(kl={"place": "loss", "coefficient": 0.001})
    actor = settings(launch(stage, context(stage)))["actor_rollout_ref"]["actor"]
    assert (actor["use_kl_loss"], actor["kl_loss_coef"], actor["kl_loss_type"]) == (True, 0.001, "low_var_kl")


def test_verl_keys_take_precedence_nested_or_dotted() -> None:
    stage = rl_stage(
        verl={
            "actor_rollout_ref.rollout.max_num_seqs": 7,
            "actor_rollout_ref": {"actor": {"optim": {"lr": 0.5}}},
            "trainer.v1.sampler.sampler_kwargs.poll_interval": 3.0,
        }
    )
    rendered = settings(launch(stage, context(stage)))
    assert rendered["actor_rollout_ref"]["rollout"]["max_num_seqs"] == 7
    assert rendered["actor_rollout_ref"]["rollout"]["name"] == "vllm"
    assert rendered["actor_rollout_ref"]["actor"]["optim"]["lr"] == 0.5
    assert rendered["trainer"]["v1"]["sampler"]["sampler_kwargs"]["poll_interval"] == 3.0


def test_flash_attention_removes_the_padding() -> None:
    key = "actor_rollout_ref.model.override_config.attn_implementation"
    stage = rl_stage(verl={key: "flash_attention_2"})
    assert settings(launch(stage, context(stage, "cuda")))["actor_rollout_ref"]["model"]["use_remove_padding"] is True


def test_last_step_is_saved_without_save_every() -> None:
    # verl saves at its last step only when save_freq is positive.
    stage = rl_stage()
    assert settings(launch(stage, context(stage)))["trainer"]["save_freq"] > 10**6


def test_keeping_one_checkpoint_is_two_for_verl() -> None:
    stage = rl_stage(keep_checkpoints=1)
    rendered = settings(launch(stage, context(stage)))
    assert rendered["trainer"]["max_actor_ckpt_to_keep"] == 2
    assert rendered["pipeline"]["keep_checkpoints"] == 1


def test_verl_deletes_no_checkpoint_with_keep_best() -> None:
    stage = rl_stage(keep_best=True, save_every=2, validate_every=1, best_metric="val-core/*/reward/mean@1")
    rendered = settings(launch(stage, context(stage)))
    assert "max_actor_ckpt_to_keep" not in rendered["trainer"]
    del rendered["pipeline"]["samples"]
    assert rendered["pipeline"] == {"keep_checkpoints": 2, "keep_best": True, "best_metric": "val-core/*/reward/mean@1"}
    assert "keep_best" not in settings(launch(plain := rl_stage(), context(plain)))["pipeline"]


def test_samples_are_for_the_plugin() -> None:
    stage = rl_stage(keep_samples=32, verl={"trainer.rollout_data_dir": "/rollouts"})
    rendered = launch(stage, context(stage))
    assert settings(rendered)["pipeline"]["samples"] == {"folder": "/runs/demo/stages/one/samples", "responses": 32}
    assert settings(rendered)["trainer"]["rollout_data_dir"] == "/rollouts"
    # As in version 0.2, whose finished stages stay finished.
    in_cache_key = YAML(typ="safe").load(rendered.cache_key_files["train.yaml"])
    assert in_cache_key["pipeline"] == {"keep_checkpoints": 2}


def test_recipe_of_docs_page_loads(tmp_path: Path) -> None:
    page = (ROOT / "docs/running.md").read_text(encoding="utf-8")
    block = page.partition("```yaml\n# samples.yaml\n")[2].partition("```")[0]
    (tmp_path / "samples.yaml").write_text(block, encoding="utf-8")
    stage = load(tmp_path / "samples.yaml").recipe.stages[-1]
    assert isinstance(stage, RlStage) and stage.keep_samples == 32


def test_custom_logger_keeps_the_metrics_file() -> None:
    stage = rl_stage(verl={"trainer.logger": ["console", "wandb"]})
    assert settings(launch(stage, context(stage)))["trainer"]["logger"] == ["console", "wandb", "file"]


def test_hub_is_offline_for_a_model_folder_only() -> None:
    stage = rl_stage()
    folder = context(stage)
    hub = type(folder)(**{**vars(folder), "model": "org/model"})
    assert launch(stage, folder).environment["HF_HUB_OFFLINE"] == "1"
    assert "HF_HUB_OFFLINE" not in launch(stage, hub).environment


@pytest.mark.parametrize(
    ("path", "is_local"),
    [("org/teacher", False), ("/models/teacher", True), ("pkg://package.module", True)],
)
def test_hub_is_not_offline_if_another_model_is_there(path: str, is_local: bool) -> None:
    stage = rl_stage(verl={"actor_rollout_ref.model.tokenizer_path": path})
    assert ("HF_HUB_OFFLINE" in launch(stage, context(stage)).environment) == is_local


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": ..., "epochs": 1.5}, "stage one: verl trains whole epochs, not 1.5; use `steps` instead"),
        ({"verl": {"data": 3, "data.seed": 4}}, "data has both a value and keys below it"),
    ],
)
def test_unsupported_settings_are_rejected(changes: dict[str, Any], message: str) -> None:
    stage = rl_stage(**changes)
    with pytest.raises(InputError) as caught:
        launch(stage, context(stage))
    assert message in str(caught.value)


@pytest.mark.parametrize("platform", ["cpu", "cuda"])
def test_actors_on_other_nodes_get_every_variable(platform: Platform) -> None:
    stage = rl_stage()
    rendered = launch(stage, context(stage, platform, nodes=2))
    ray = settings(rendered)["ray_kwargs"]["ray_init"]
    variables = ray.pop("runtime_env")["env_vars"]
    assert ray == {"address": "auto"}
    assert variables.items() >= rendered.environment.items()
    assert set(variables) - set(rendered.environment) == {
        "PYTHONPATH",
        "VERL_USE_EXTERNAL_MODULES",
        "PIPELINE_RUN",
        "PIPELINE_SHM_PREFIX",
        "PIPELINE_NODES",
    }
    assert variables["PIPELINE_RUN"] == "/runs/demo"
    assert (variables["PYTHONPATH"], variables["PIPELINE_NODES"]) == (str(ROOT), "2")
    assert settings(rendered)["trainer"]["nnodes"] == 2
    # Finished runs on several nodes stay finished.
    in_cache_key = YAML(typ="safe").load(rendered.cache_key_files["train.yaml"])
    assert in_cache_key["ray_kwargs"] == {"ray_init": {"address": "auto"}}


def test_variables_of_the_stage_reach_the_actors_first() -> None:
    stage = rl_stage(verl={"ray_kwargs.ray_init.runtime_env.env_vars": {"NCCL_DEBUG": "INFO", "PIPELINE_NODES": "9"}})
    found = settings(launch(stage, context(stage, nodes=2)))["ray_kwargs"]["ray_init"]["runtime_env"]["env_vars"]
    assert (found["NCCL_DEBUG"], found["PIPELINE_NODES"], found["VERL_PLATFORM"]) == ("INFO", "9", "cpu")


def test_a_stage_may_use_fewer_nodes_than_the_recipe() -> None:
    stage = rl_stage(hardware={"nodes": 1})
    alone, recipe = launch(stage, context(stage)), launch(stage, context(stage, nodes=4))
    assert alone == recipe
    assert settings(alone)["ray_kwargs"]["ray_init"]["address"] == "local"
    stage = rl_stage(hardware={"nodes": 2, "gpus_per_node": 4}, batch={"prompts": 8, "mini": 8})
    trainer = settings(launch(stage, context(stage)))["trainer"]
    assert (trainer["nnodes"], trainer["n_gpus_per_node"]) == (2, 4)


def test_adapters_are_the_keys_of_verls_model() -> None:
    plain = settings(launch(stage := rl_stage(), context(stage)))["actor_rollout_ref"]["model"]
    assert not any("lora" in key for key in plain)
    stage = rl_stage(lora={"rank": 4, "alpha": 8, "target": "q_proj, v_proj"}, kl={})
    model = settings(launch(stage, context(stage)))["actor_rollout_ref"]["model"]
    assert model == plain | {"lora_rank": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"]}
    stage = rl_stage(lora={})
    assert settings(launch(stage, context(stage)))["actor_rollout_ref"]["model"]["target_modules"] == "all-linear"


def test_adapters_are_merged_by_the_export() -> None:
    for lora, module in ((None, "verl.model_merger"), ({}, "pipelines.trainers.verl.checkpoints.merge_adapters")):
        stage = rl_stage(lora=lora)
        exported = export(stage, context(stage))
        assert exported.argv[2] == module
        assert "/runs/demo/stages/one/checkpoint/actor" in exported.argv


def test_adapters_have_no_averages_of_the_whole_model() -> None:
    whole, adapters = rl_stage(), rl_stage(lora={})
    assert disk_usage(whole, context(whole), 100).checkpoint == 3 * 400
    assert disk_usage(adapters, context(adapters), 100).checkpoint == 400


def test_a_rank_that_vllm_does_not_support_is_refused() -> None:
    with pytest.raises(ValueError, match=r"lora\.rank is 513: vLLM supports at most 512"):
        rl_stage(lora={"rank": 513})
