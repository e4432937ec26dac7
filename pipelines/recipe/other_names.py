"""The names that other tools have for the keys of a recipe: those of verl and LLaMA-Factory, TRL and axolotl."""

from __future__ import annotations

from pipelines.recipe.reserved_keys import RESERVED, owners

_ANYWHERE = {
    "base_model": "model",
    "model_id": "model",
    "output_dir": "--runs, an option of `pipeline run`",
    "wandb": "trackers",
    "wandb_project": "trackers",
    "use_wandb": "trackers",
    "logger": "trackers",
    "report_to": "trackers",
    "logging": "trackers",
    "num_gpus": "hardware.gpus_per_node",
    "num_nodes": "hardware.nodes",
    "world_size": "hardware.gpus_per_node",
    "random_seed": "seed",
}
_STAGE = {
    "lr": "learning_rate",
    "batch_size": "batch",
    "datasets": "data.train",
    "dataset_name": "data.train",
    "train_dataset": "data.train",
    "train_file": "data.train",
    "test_datasets": "data.validation",
    "val_set_size": "data.validation",
    "num_epochs": "epochs",
    "max_epochs": "epochs",
    "max_train_steps": "steps",
    "num_train_steps": "steps",
    "saves_per_epoch": "save_every",
    "checkpoint_interval": "save_every",
    "evals_per_epoch": "validate_every",
    "eval_every": "validate_every",
    "max_checkpoints": "keep_checkpoints",
    "eval_steps": "validate_every",
    "overlong": "data.overlong",
    "truncation": "data.overlong",
    "filter_overlong_prompts": "data.overlong",
}
_SFT = {
    "sequence_len": "max_tokens",
    "max_seq_length": "max_tokens",
    "max_seq_len": "max_tokens",
    "max_length": "max_tokens",
    "model_max_length": "max_tokens",
    "micro_batch_size": "batch.per_device",
    "per_device_batch_size": "batch.per_device",
    "grad_accum": "batch.accumulate",
    "adapter": "lora",
    "use_peft": "lora",
    "lora_r": "lora.rank",
    "r": "lora.rank",
    "lora_target_modules": "lora.target",
    "target_modules": "lora.target",
    "sample_packing": "packing",
    "chat_template": "template",
    "optimizer": "llamafactory.optim",
    "lr_scheduler": "llamafactory.lr_scheduler_type",
}
_RL = {
    "num_generations": "rollout.samples",
    "group_size": "rollout.samples",
    "num_samples": "rollout.samples",
    "max_completion_length": "rollout.max_response_tokens",
    "max_new_tokens": "rollout.max_response_tokens",
    "max_tokens": "rollout.max_response_tokens",
    "beta": "kl.coefficient",
    "kl_coef": "kl.coefficient",
    "reward_funcs": "reward",
    "reward_fn": "reward",
    "reward_model": "reward",
    "loss_type": "algorithm",
    "micro_batch_size": "batch.micro_per_gpu",
    "per_device_train_batch_size": "batch.micro_per_gpu",
    "mini_batch_size": "batch.mini",
    "rollout_batch_size": "batch.prompts",
    "vllm_gpu_memory_utilization": "rollout.gpu_memory",
    "vllm_tensor_parallel_size": "rollout.tensor_parallel",
    "tp_size": "rollout.tensor_parallel",
    "epsilon": "verl.actor_rollout_ref.actor.clip_ratio_low",
    "epsilon_high": "verl.actor_rollout_ref.actor.clip_ratio_high",
    "num_iterations": "verl.actor_rollout_ref.actor.ppo_epochs",
    "warmup_ratio": "verl.actor_rollout_ref.actor.optim.lr_warmup_steps_ratio",
    "warmup_steps": "verl.actor_rollout_ref.actor.optim.lr_warmup_steps",
    "weight_decay": "verl.actor_rollout_ref.actor.optim.weight_decay",
    "max_grad_norm": "verl.actor_rollout_ref.actor.optim.clip_grad",
}
_LISTS = {"sft": ("llamafactory", "verl_sft"), "rl": ("verl",)}


def find(name: str, kind: str | None) -> str | None:
    """Return the key of a recipe, as written in its stage or at the top, for another tool's name; None if it is unknown.

    Args:
        name: The last part of a key.
        kind: The kind of stage that it was found in; None: outside the stages.
    """
    own = {"sft": _SFT, "rl": _RL}.get(kind or "", {})
    if meant := own.get(name, _ANYWHERE.get(name)):
        return meant
    of_stage = _STAGE.get(name) or _of_upstream(name, _LISTS.get(kind or "", ("llamafactory", "verl", "verl_sft")))
    if kind is None and of_stage is None:
        of_stage = _SFT.get(name) or _RL.get(name)
    if of_stage is not None:
        top = of_stage.partition(".")[0] in ("model", "seed", "hardware")
        return of_stage if kind is not None or top else f"stages.STAGE.{of_stage}"
    return None


def _of_upstream(name: str, upstreams: tuple[str, ...]) -> str | None:
    """Return the field that an upstream's key is rendered from, or the section that takes the key."""
    from pipelines.recipe.upstream_keys import keys

    for upstream in upstreams:
        for key in RESERVED[upstream]:
            if key.rpartition(".")[2] == name and (fields := owners(upstream, key)):
                return fields[0]
    if "llamafactory" in upstreams and name in keys("llamafactory") and name not in RESERVED["llamafactory"]:
        return f"llamafactory.{name}"
    found = [key for key in keys("verl") if key.endswith(f".{name}") and "dp" in keys("verl")[key].get("engines", ["dp"])]
    if "verl" in upstreams and found and len(name) > 4:
        return f"verl.{min(found, key=lambda key: (not key.startswith('actor_rollout_ref.actor.'), len(key)))}"
    return None
