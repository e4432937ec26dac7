"""Upstream keys that are not allowed under `verl:` and `llamafactory:`, with the reason.

They are rendered from typed fields or required by the run; setting them in two places could contradict silently.
"""

from __future__ import annotations

import re
from collections.abc import Mapping


def _reserve(fields: Mapping[str, str], run: Mapping[str, str]) -> Mapping[str, str]:
    """Return key -> reason.

    Args:
        fields: field of the recipe -> the keys that are rendered from it.
        run: reason -> the keys that the run sets for it.
    """
    by_reason = {f"set by the recipe's {field}; use that instead": keys for field, keys in fields.items()}
    by_reason |= {f"set by the run: {reason}": keys for reason, keys in run.items()}
    return {key: reason for reason, keys in by_reason.items() for key in keys.split()}


_MODEL = "`model` (or the stage's `init_from`)"
_RESUME = "a stage resumes from its newest checkpoint"
_CHECKPOINTS = "checkpoints are written to the run directory"

RESERVED: Mapping[str, Mapping[str, str]] = {
    "llamafactory": _reserve(
        {
            _MODEL: "model_name_or_path",
            "top-level `revision` (or the stage's)": "model_revision",
            "`validate_every`": "do_eval eval_strategy eval_steps",
            "`lora`": "finetuning_type",
            "`lora.rank`": "lora_rank",
            "`lora.alpha`": "lora_alpha",
            "`lora.target`": "lora_target",
            "`data.train`": "dataset dataset_dir",
            "`data.validation`": "eval_dataset val_size",
            "`template`": "template",
            "`max_tokens`": "cutoff_len",
            "`save_every`": "save_strategy save_steps",
            "`keep_checkpoints`": "save_total_limit",
            "`batch.per_device`": "per_device_train_batch_size",
            "`batch.accumulate`": "gradient_accumulation_steps",
            "`learning_rate`": "learning_rate",
            "`epochs`": "num_train_epochs",
            "`steps`": "max_steps",
            "`packing`": "packing neat_packing",
            "`keep_best`": "load_best_model_at_end",
            "top-level `seed`": "seed data_seed",
        },
        {
            "an sft stage is supervised fine-tuning": "stage",
            "a stage trains": "do_train",
            _CHECKPOINTS: "output_dir",
            "it would restart a resumed stage at step 0": "overwrite_output_dir",
            _RESUME: "resume_from_checkpoint",
            "a stage cannot resume from such a checkpoint": "save_only_model",
            "the best checkpoint has the lowest validation loss": "metric_for_best_model greater_is_better",
        },
    ),
    "verl_sft": _reserve(
        {
            _MODEL: "model.path",
            "`lora.rank`": "model.lora_rank",
            "`lora.alpha`": "model.lora_alpha",
            "`lora.target`": "model.target_modules",
            "`data.train`": "data.train_files",
            "`data.validation`": "data.val_files",
            "`data.train`, which has a `limit`": "data.train_max_samples",
            "`data.validation`, which has a `limit`": "data.val_max_samples",
            "`batch`: per_device x accumulate x devices": "data.train_batch_size",
            "`batch.per_device`": "data.micro_batch_size_per_gpu",
            "`packing`": "data.use_dynamic_bsz",
            "`max_tokens`": "data.max_length",
            "`data.overlong`": "data.truncation",
            "`learning_rate`": "optim.lr",
            "`steps`": "optim.total_training_steps trainer.total_training_steps",
            "top-level `seed`": "engine.seed trainer.seed",
            "`epochs`": "trainer.total_epochs",
            "`save_every`": "trainer.save_freq",
            "`validate_every`": "trainer.test_freq",
            "`keep_checkpoints`": "trainer.max_ckpt_to_keep",
            "top-level `hardware.nodes`": "trainer.nnodes",
            "top-level `hardware.gpus_per_node`": "trainer.n_gpus_per_node",
            "top-level `hardware.platform`": "trainer.device",
        },
        {
            "it must match the prepared rows": """
                data.custom_cls.path
                data.custom_cls.name
                data.messages_key
                data.tools_key
                data.enable_thinking_key
                data.enable_thinking_default
                data.ignore_input_ids_mismatch
            """,
            "verl's FSDP engine supports no_padding only": "data.pad_mode",
            "a stage resumes from a complete checkpoint": """
                checkpoint.save_contents
                checkpoint.load_contents
                checkpoint.save_lora_only
            """,
            "a checkpoint must be complete before training continues": "checkpoint.async_save",
            _CHECKPOINTS: "trainer.default_local_dir",
            _RESUME: "trainer.resume_mode trainer.resume_from_path",
        },
    ),
    "verl": _reserve(
        {
            _MODEL: "actor_rollout_ref.model.path",
            "`data.train`": "data.train_files",
            "`data.validation`": "data.val_files",
            "`batch.prompts`": "data.train_batch_size",
            "`rollout.max_prompt_tokens`": "data.max_prompt_length actor_rollout_ref.rollout.prompt_length",
            "`rollout.max_response_tokens`": "data.max_response_length actor_rollout_ref.rollout.response_length",
            "top-level `seed`": "data.seed",
            "`learning_rate`": "actor_rollout_ref.actor.optim.lr",
            "`batch.mini`": "actor_rollout_ref.actor.ppo_mini_batch_size",
            "`batch.micro_per_gpu`": "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu",
            "`kl`": "actor_rollout_ref.actor.use_kl_loss algorithm.use_kl_in_reward",
            "`kl.coefficient`": "actor_rollout_ref.actor.kl_loss_coef algorithm.kl_ctrl.kl_coef",
            "`kl.estimator`": "actor_rollout_ref.actor.kl_loss_type algorithm.kl_penalty",
            "`lora.rank`": "actor_rollout_ref.model.lora_rank",
            "`lora.alpha`": "actor_rollout_ref.model.lora_alpha",
            "`lora.target`": "actor_rollout_ref.model.target_modules",
            "`rollout.samples`": "actor_rollout_ref.rollout.n",
            "`rollout.temperature`": "actor_rollout_ref.rollout.temperature",
            "`rollout.top_p`": "actor_rollout_ref.rollout.top_p",
            "`validation.samples`": "actor_rollout_ref.rollout.val_kwargs.n",
            "`validation.temperature`": """
                actor_rollout_ref.rollout.val_kwargs.temperature
                actor_rollout_ref.rollout.val_kwargs.do_sample
            """,
            "`rollout.tensor_parallel`": "actor_rollout_ref.rollout.tensor_model_parallel_size",
            "`rollout.gpu_memory`": "actor_rollout_ref.rollout.gpu_memory_utilization",
            "`algorithm`": "algorithm.adv_estimator",
            "`critic.learning_rate`": "critic.optim.lr",
            "`critic.warmup_steps`": "trainer.critic_warmup",
            "`epochs`": "trainer.total_epochs",
            "`steps`": "trainer.total_training_steps",
            "`save_every`": "trainer.save_freq",
            "`validate_every`": "trainer.test_freq",
            "`keep_checkpoints`": "trainer.max_actor_ckpt_to_keep trainer.max_critic_ckpt_to_keep",
            "top-level `hardware.nodes`": "trainer.nnodes",
            "top-level `hardware.gpus_per_node`": "trainer.n_gpus_per_node",
            "top-level `hardware.platform`": "trainer.device",
            "`reward`": "reward.custom_reward_function.path reward.custom_reward_function.name",
            "`reward.options`": "reward.custom_reward_function.reward_kwargs",
        },
        {
            "a stage trains": "trainer.val_only",
            "it is `rollout.samples`": "actor_rollout_ref.actor.rollout_n actor_rollout_ref.ref.rollout_n critic.rollout_n",
            "`batch.micro_per_gpu` sets the size of forward passes": """
                actor_rollout_ref.actor.ppo_micro_batch_size
                actor_rollout_ref.ref.log_prob_micro_batch_size
                actor_rollout_ref.rollout.log_prob_micro_batch_size
                critic.ppo_micro_batch_size
                critic.forward_micro_batch_size
            """,
            "it must match the prepared rows": "data.prompt_key data.reward_fn_key",
            "the critic starts from the same model as the policy": "critic.model.path",
            _CHECKPOINTS: "trainer.default_local_dir",
            "it marks complete checkpoints": "trainer.checkpoint_callback_class",
            "a stage resumes from a complete checkpoint": "actor_rollout_ref.actor.checkpoint.save_lora_only",
            "the legacy trainer, resumed at the end of an epoch, exits without training (verl#7401)": "trainer.use_v1",
            _RESUME: "trainer.resume_mode trainer.resume_from_path",
        },
    ),
}

FREE_WITH_ENTRY = frozenset({"algorithm.adv_estimator"})
"""Reserved keys of verl that a stage with another `entry` may set: it may register estimators of its own."""

OBSOLETE: Mapping[str, Mapping[str, str]] = {
    "verl": {
        "custom_reward_function": "verl 0.9.1 ignores this silently; use the stage's `reward`",
        "reward_model": "verl 0.9.1 has moved this; did you mean 'reward'?",
        "sandbox_fusion": "verl 0.9.1 has moved this; did you mean 'reward.sandbox_fusion'?",
    }
}

ALSO_RENDERED: Mapping[str, Mapping[str, str]] = {
    "verl": {
        "batch.micro_per_gpu": """
            actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu
            actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu
            critic.ppo_micro_batch_size_per_gpu
        """,
        "data.overlong": "data.filter_overlong_prompts",
        "tool.format": "actor_rollout_ref.rollout.multi_turn.format",
        "tool.max_turns": "actor_rollout_ref.rollout.multi_turn.max_assistant_turns",
        "tool.max_output_chars": "actor_rollout_ref.rollout.multi_turn.max_tool_response_length",
    }
}
"""List -> field of the recipe -> further keys that are rendered from it, which `verl:` may override."""

_FIELD = re.compile(r"`([\w.]+)`")


def owners(upstream: str, key: str) -> list[str]:
    """Return the fields of the recipe that an upstream key is rendered from, such as `rollout.samples`; empty: none."""
    reason = RESERVED[upstream].get(key, "")
    if reason.startswith("set by the recipe's"):
        return _FIELD.findall(reason)
    return [field for field, keys in ALSO_RENDERED.get(upstream, {}).items() if key in keys.split()]
