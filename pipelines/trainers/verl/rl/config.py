"""A reinforcement-learning stage as a Hydra file for verl's `main_ppo`, or for another entry point."""

from __future__ import annotations

from pipelines.errors import SettingError
from pipelines.recipe.nested import Settings, deep_merge, get_path, unflatten
from pipelines.recipe.schema import RlStage
from pipelines.trainers.base import Context, Launch
from pipelines.trainers.verl import cpu, cuda
from pipelines.trainers.verl.actors import actor_settings
from pipelines.trainers.verl.preload import client_command
from pipelines.trainers.verl.rendering import (
    command,
    lora_settings,
    render,
    training_environment,
    training_length,
    upstream_keys,
)
from pipelines.trainers.verl.rl.entry import entry_command, entry_files, entry_variables, find_entry
from pipelines.trainers.verl.rl.reward import ARGUMENTS, NOT_IN_CACHE_KEY, reward_function
from pipelines.trainers.verl.rl.tool import tool_file, tool_settings
from rewards.scoring.combination import score_keys

_PLUGIN = "pipelines.trainers.verl.plugin"

_GROUPS = ("algorithm", "data", "reward", "actor_rollout_ref", "critic", "trainer")


def launch(stage: RlStage, context: Context) -> Launch:
    """Render `verl.trainer.main_ppo`, or the stage's `entry`, with one YAML file that overrides its defaults.

    Precedence, lowest first: the algorithm's settings, the stage's typed fields, the platform, `stage.verl`. The same command
    resumes from the checkpoint that the tracker file names (trainer.resume_mode auto).
    """
    platform = cpu if context.platform == "cpu" else cuda
    settings = deep_merge(
        unflatten(stage.method.settings),
        _stage(stage, context),
        platform.rl_settings(stage, context.recipe),
        tool_settings(stage, context),
        upstream_keys(stage),
    )
    settings = deep_merge(settings, reward_function(stage, context, settings))
    settings = deep_merge(settings, _replay_buffer(stage, settings))
    title = f"verl: {stage.algorithm}, stage {stage.name}"
    in_cache_key = deep_merge(settings, unflatten({f"{ARGUMENTS}.{key}": None for key in NOT_IN_CACHE_KEY}))
    settings = deep_merge(settings, _samples(stage, context))
    entry = find_entry(stage) if stage.entry else None
    variables = training_environment(context, stage) | (entry_variables(entry, context) if entry else {})
    ray: Settings = {}
    if (nodes := context.recipe.hardware_of(stage).nodes) > 1:
        ray = actor_settings(context, nodes, variables)
    if context.platform == "cpu":
        ray = deep_merge(ray, unflatten({"ray_kwargs.ray_init.runtime_env.py_executable": client_command(context.python)}))
    # What the user has set in `verl:` takes precedence.
    settings = deep_merge(settings, ray, {"ray_kwargs": settings["ray_kwargs"]})
    base = None if entry else "ppo_trainer"
    return Launch(
        argv=entry_command(entry, context) if entry else command(context, "verl.trainer.main_ppo"),
        environment=variables,
        files={
            "train.yaml": render(base, _GROUPS, settings, title),
            "agent_loops.yaml": _agent_loops(stage),
            **(entry_files(entry) if entry else {}),
            **tool_file(stage, context, settings),
        },
        cache_key_files={
            "train.yaml": render(base, _GROUPS, in_cache_key, title),
            **tool_file(stage, None, settings),
        },
    )


def _stage(stage: RlStage, context: Context) -> Settings:
    """Translate the stage's typed fields into verl's settings."""
    hardware, seed = context.recipe.hardware_of(stage), context.recipe.seed
    rollout = stage.rollout
    settings: Settings = {
        "algorithm": {"adv_estimator": stage.method.estimator},
        "data": {
            "train_files": str(context.paths.data / "train.parquet"),
            "val_files": str(context.paths.data / "validation.parquet"),
            "train_batch_size": stage.batch.prompts,
            "max_prompt_length": rollout.max_prompt_tokens,
            "max_response_length": rollout.max_response_tokens,
            # Without the filter, verl keeps the last tokens of a prompt (experimental/agent_loop/agent_loop.py, v0.9.1).
            "filter_overlong_prompts": stage.overlong != "cut",
            "shuffle": True,
            "seed": seed,
        },
        "actor_rollout_ref": {
            "model": {"path": context.model, **lora_settings(stage.lora)},
            "actor": {
                "optim": {"lr": stage.learning_rate},
                "ppo_mini_batch_size": stage.batch.mini,
                "ppo_micro_batch_size_per_gpu": stage.batch.micro_per_gpu,
                "data_loader_seed": seed,
                "fsdp_config": {"seed": seed},
            },
            "ref": {"log_prob_micro_batch_size_per_gpu": stage.batch.micro_per_gpu, "fsdp_config": {"seed": seed}},
            "rollout": {
                "name": "vllm",
                "n": rollout.samples,
                "temperature": rollout.temperature,
                "top_p": rollout.top_p,
                "seed": seed,
                "tensor_model_parallel_size": rollout.tensor_parallel,
                "gpu_memory_utilization": rollout.gpu_memory,
                "log_prob_micro_batch_size_per_gpu": stage.batch.micro_per_gpu,
                "agent": {
                    "agent_loop_config_path": str(context.paths.step("train") / "agent_loops.yaml"),
                    "default_agent_loop": "single_turn_agent",
                },
            },
        },
        "trainer": {
            **training_length(stage),
            # verl also saves at its last step if it saves at all: this period is never reached.
            "save_freq": stage.save_every or 1_000_000_000,
            "test_freq": stage.validate_every or -1,
            "val_before_train": stage.validate_every is not None,
            "resume_mode": "auto",
            "default_local_dir": str(context.paths.checkpoints),
            "checkpoint_callback_class": f"{_PLUGIN}.checkpoint.KeepNewest",
            "nnodes": hardware.nodes,
            "n_gpus_per_node": hardware.gpus_per_node,
            "logger": ["console", "file"],
            "project_name": context.recipe.name,
            "experiment_name": stage.name,
        },
        "pipeline": {"keep_checkpoints": stage.keep_checkpoints},
    }
    if stage.keep_best:
        settings["pipeline"] |= {"keep_best": True, "best_metric": stage.best_metric}
    elif stage.keep_checkpoints is not None:
        # At 1 verl deletes the old checkpoint before the new one is complete; the callback above deletes it after. Not set
        # with keep_best: verl would delete the best.
        at_least = max(2, stage.keep_checkpoints)
        settings["trainer"] |= {"max_actor_ckpt_to_keep": at_least, "max_critic_ckpt_to_keep": at_least}
    if stage.critic is not None:
        settings["critic"] = {
            "model": {"path": context.model},
            "optim": {"lr": stage.critic.learning_rate},
            "ppo_micro_batch_size_per_gpu": stage.batch.micro_per_gpu,
            "data_loader_seed": seed,
            "fsdp": {"seed": seed},
        }
        settings["trainer"]["critic_warmup"] = stage.critic.warmup_steps
    if stage.method.rewards > 1:
        keys, weights = score_keys([reward.name for reward in stage.rewards]), [reward.weight for reward in stage.rewards]
        settings["algorithm"] |= {"gdpo_reward_keys": keys, "gdpo_reward_weights": weights}
    return deep_merge(settings, _validation(stage), _kl(stage))


def _validation(stage: RlStage) -> Settings:
    """Return the settings of sampling in validation; without any, verl generates one greedy response."""
    samples, temperature = stage.validation.samples, stage.validation.temperature
    if samples == 1 and not temperature:
        return {}
    sampling = {
        "n": samples,
        "do_sample": True,
        "temperature": stage.rollout.temperature if temperature is None else temperature,
        "top_p": stage.rollout.top_p,
    }
    return {"actor_rollout_ref": {"rollout": {"val_kwargs": sampling}}}


def _samples(stage: RlStage, context: Context) -> Settings:
    """Return the plugin's settings of the samples to keep; they do not affect the trained model."""
    return {"pipeline": {"samples": {"folder": str(context.paths.samples), "responses": stage.keep_samples}}}


def _kl(stage: RlStage) -> Settings:
    """Return the settings of the KL penalty; verl loads a reference model if either kind is on."""
    if stage.kl is None:
        return {}
    kl, estimator = stage.kl.coefficient, stage.kl.estimator
    if (stage.kl.place or stage.method.kl[0]) == "loss":
        loss = {"use_kl_loss": True, "kl_loss_coef": kl, "kl_loss_type": estimator or "low_var_kl"}
        return {"actor_rollout_ref": {"actor": loss}}
    return {"algorithm": {"use_kl_in_reward": True, "kl_penalty": estimator or "kl", "kl_ctrl": {"kl_coef": kl}}}


def _replay_buffer(stage: RlStage, settings: Settings) -> Settings:
    """Return the settings of the plugin's replay buffer; empty if the recipe uses another.

    It keeps the rows in order, aborts a step that finds no usable prompt, and handles ReMax's baselines.
    """
    filters = "algorithm.filter_groups"
    filtered = get_path(settings, f"{filters}.enable", False)
    conflict = _other_buffer(settings, scored=filtered or stage.method.greedy)
    if conflict is not None:
        if stage.method.greedy:
            message = f"{conflict} does not work with {stage.algorithm}: verl does not compute its baselines"
            raise SettingError(("stages", stage.name, "verl"), message)
        return {}
    kind = "BaselineReplayBuffer" if stage.method.greedy else "OrderedReplayBuffer"
    sampler: Settings = {"custom_sampler": {"path": f"pkg://{_PLUGIN}.replay_buffer", "name": kind}}
    if filtered:
        # verl passes its group filter to its own buffer only (trainer/ppo/v1/trainer_base.py `_build_replay_buffer`).
        keys = ("metric", "max_num_gen_batches", "max_inflight_gen_batches")
        references = {"train_batch_size": "${data.train_batch_size}", **{key: f"${{{filters}.{key}}}" for key in keys}}
        sampler["sampler_kwargs"] = {"filter_groups": references}
    return {"trainer": {"v1": {"sampler": sampler}}}


def _other_buffer(settings: Settings, scored: bool) -> str | None:
    """Return the setting that needs another replay buffer.

    Args:
        scored: whether the buffer needs the responses' scores, which a reward model on the same GPUs computes only later.
    """
    defaults: Settings = {
        "trainer.v1.trainer_mode": "sync",
        "trainer.v1.sampler.sync_refill_failed_groups": False,
        "trainer.v1.sampler.custom_sampler": None,
    }
    if scored and not get_path(settings, "reward.reward_model.enable_resource_pool", False):
        defaults["reward.reward_model.enable"] = False
    found = {key: get_path(settings, key, default) for key, default in defaults.items()}
    return next((f"{key}: {value}" for key, value in found.items() if value != defaults[key]), None)


def _agent_loops(stage: RlStage) -> str:
    """Return verl's file of agent loops: the names in the rows, and their classes."""
    plain = f"- name: single_turn_agent\n  _target_: {_PLUGIN}.agent_loop.SeededSingleTurn\n"
    return plain + (f"- name: tool_agent\n  _target_: {_PLUGIN}.tool_agent.SeededToolAgent\n" if stage.tool else "")
