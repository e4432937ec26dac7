"""Upstream keys that are not for `verl:` and `llamafactory:`, and what to write instead.

A typed field renders the key, or the run itself needs it as it is: two places for one setting would contradict each
other in silence.
"""

from __future__ import annotations

from collections.abc import Mapping


def _use(field: str) -> str:
    return f"set by the recipe's own {field}; write that instead"


def _run(what: str) -> str:
    return f"set by the run itself: {what}"


_MODEL = _use("`model` (or the stage's `init_from`)")
_ROWS = _run("rows are read as they were prepared")

OWNED: Mapping[str, Mapping[str, str]] = {
    "llamafactory": {
        "model_name_or_path": _MODEL,
        "stage": _run("an sft stage is supervised fine-tuning"),
        "do_train": _run("a stage trains"),
        "do_eval": _use("`validate_every`"),
        "finetuning_type": _use("`lora`"),
        "lora_rank": _use("`lora.rank`"),
        "lora_alpha": _use("`lora.alpha`"),
        "lora_target": _use("`lora.target`"),
        "dataset": _use("`data.train`"),
        "dataset_dir": _use("`data.train`"),
        "eval_dataset": _use("`data.validation`"),
        "val_size": _use("`data.validation`"),
        "template": _use("`template`"),
        "cutoff_len": _use("`max_tokens`"),
        "output_dir": _run("checkpoints lie in the run directory"),
        "overwrite_output_dir": _run("it would start a resumed stage again from step 0"),
        "resume_from_checkpoint": _run("a stage resumes from its newest checkpoint"),
        "save_only_model": _run("a stage could not resume from such a checkpoint"),
        "save_strategy": _use("`save_every`"),
        "save_steps": _use("`save_every`"),
        "save_total_limit": _use("`keep_checkpoints`"),
        "per_device_train_batch_size": _use("`batch.per_device`"),
        "gradient_accumulation_steps": _use("`batch.accumulate`"),
        "learning_rate": _use("`learning_rate`"),
        "num_train_epochs": _use("`epochs`"),
        "max_steps": _use("`steps`"),
        "eval_strategy": _use("`validate_every`"),
        "eval_steps": _use("`validate_every`"),
        "packing": _use("`packing`"),
        "neat_packing": _use("`packing`"),
        "load_best_model_at_end": _use("`keep_best`"),
        "metric_for_best_model": _run("the best checkpoint is the one with the least validation loss"),
        "greater_is_better": _run("the best checkpoint is the one with the least validation loss"),
        "seed": _use("top-level `seed`"),
        "data_seed": _use("top-level `seed`"),
    },
    "verl_sft": {
        "model.path": _MODEL,
        "model.lora_rank": _use("`lora.rank`"),
        "model.lora_alpha": _use("`lora.alpha`"),
        "model.target_modules": _use("`lora.target`"),
        "data.train_files": _use("`data.train`"),
        "data.val_files": _use("`data.validation`"),
        "data.train_max_samples": _use("`data.train`, which has a `limit`"),
        "data.val_max_samples": _use("`data.validation`, which has a `limit`"),
        "data.train_batch_size": _use("`batch`: per_device x accumulate x devices"),
        "data.micro_batch_size_per_gpu": _use("`batch.per_device`"),
        "data.use_dynamic_bsz": _use("`packing`"),
        "data.max_length": _use("`max_tokens`"),
        "data.truncation": _use("`max_tokens`; longer conversations are cut"),
        "data.custom_cls.path": _ROWS,
        "data.custom_cls.name": _ROWS,
        "data.messages_key": _ROWS,
        "data.tools_key": _ROWS,
        "data.enable_thinking_key": _ROWS,
        "data.enable_thinking_default": _ROWS,
        "data.ignore_input_ids_mismatch": _ROWS,
        "data.pad_mode": _run("verl's FSDP engine takes no other than no_padding"),
        "optim.lr": _use("`learning_rate`"),
        "optim.total_training_steps": _use("`steps`"),
        "checkpoint.save_contents": _run("a stage resumes from a whole checkpoint"),
        "checkpoint.load_contents": _run("a stage resumes from a whole checkpoint"),
        "checkpoint.save_lora_only": _run("a stage resumes from a whole checkpoint"),
        "checkpoint.async_save": _run("a checkpoint is whole when training goes on"),
        "engine.seed": _use("top-level `seed`"),
        "trainer.seed": _use("top-level `seed`"),
        "trainer.total_epochs": _use("`epochs`"),
        "trainer.total_training_steps": _use("`steps`"),
        "trainer.save_freq": _use("`save_every`"),
        "trainer.test_freq": _use("`validate_every`"),
        "trainer.max_ckpt_to_keep": _use("`keep_checkpoints`"),
        "trainer.nnodes": _use("top-level `hardware.nodes`"),
        "trainer.n_gpus_per_node": _use("top-level `hardware.gpus_per_node`"),
        "trainer.device": _use("top-level `hardware.platform`"),
        "trainer.default_local_dir": _run("checkpoints lie in the run directory"),
        "trainer.resume_mode": _run("a stage resumes from its newest checkpoint"),
        "trainer.resume_from_path": _run("a stage resumes from its newest checkpoint"),
    },
    "verl": {
        "actor_rollout_ref.model.path": _MODEL,
        "critic.model.path": _run("the critic starts from the stage's own first model"),
        "data.train_files": _use("`data.train`"),
        "data.val_files": _use("`data.validation`"),
        "data.train_batch_size": _use("`batch.prompts`"),
        "data.max_prompt_length": _use("`rollout.max_prompt_tokens`"),
        "data.max_response_length": _use("`rollout.max_response_tokens`"),
        "data.seed": _use("top-level `seed`"),
        "actor_rollout_ref.actor.optim.lr": _use("`learning_rate`"),
        "actor_rollout_ref.actor.ppo_mini_batch_size": _use("`batch.mini`"),
        "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu": _use("`batch.micro_per_gpu`"),
        "actor_rollout_ref.actor.use_kl_loss": _use("`kl`"),
        "actor_rollout_ref.actor.kl_loss_coef": _use("`kl.coefficient`"),
        "actor_rollout_ref.actor.kl_loss_type": _use("`kl.estimator`"),
        "actor_rollout_ref.rollout.n": _use("`rollout.samples`"),
        "actor_rollout_ref.rollout.temperature": _use("`rollout.temperature`"),
        "actor_rollout_ref.rollout.top_p": _use("`rollout.top_p`"),
        "actor_rollout_ref.rollout.tensor_model_parallel_size": _use("`rollout.tensor_parallel`"),
        "actor_rollout_ref.rollout.gpu_memory_utilization": _use("`rollout.gpu_memory`"),
        "actor_rollout_ref.rollout.prompt_length": _use("`rollout.max_prompt_tokens`"),
        "actor_rollout_ref.rollout.response_length": _use("`rollout.max_response_tokens`"),
        "algorithm.adv_estimator": _use("`algorithm`"),
        "algorithm.use_kl_in_reward": _use("`kl`"),
        "algorithm.kl_penalty": _use("`kl.estimator`"),
        "algorithm.kl_ctrl.kl_coef": _use("`kl.coefficient`"),
        "critic.optim.lr": _use("`critic.learning_rate`"),
        "trainer.critic_warmup": _use("`critic.warmup_steps`"),
        "trainer.total_epochs": _use("`epochs`"),
        "trainer.total_training_steps": _use("`steps`"),
        "trainer.save_freq": _use("`save_every`"),
        "trainer.test_freq": _use("`validate_every`"),
        "trainer.max_actor_ckpt_to_keep": _use("`keep_checkpoints`"),
        "trainer.max_critic_ckpt_to_keep": _use("`keep_checkpoints`"),
        "trainer.nnodes": _use("top-level `hardware.nodes`"),
        "trainer.n_gpus_per_node": _use("top-level `hardware.gpus_per_node`"),
        "trainer.device": _use("top-level `hardware.platform`"),
        "trainer.default_local_dir": _run("checkpoints lie in the run directory"),
        "trainer.checkpoint_callback_class": _run("it marks the checkpoints that are whole"),
        "trainer.use_v1": _run("the legacy trainer, resumed at an epoch's end, ends without training (verl#7401)"),
        "trainer.resume_mode": _run("a stage resumes from its newest checkpoint"),
        "trainer.resume_from_path": _run("a stage resumes from its newest checkpoint"),
        "reward.custom_reward_function.path": _use("`reward`"),
        "reward.custom_reward_function.name": _use("`reward`"),
        "reward.custom_reward_function.reward_kwargs": _use("`reward.options`"),
    },
}

DEAD: Mapping[str, Mapping[str, str]] = {
    "verl": {
        "custom_reward_function": "verl 0.9.1 ignores this in silence; write the stage's `reward`",
        "reward_model": "verl 0.9.1 has moved this; did you mean 'reward'?",
        "sandbox_fusion": "verl 0.9.1 has moved this; did you mean 'reward.sandbox_fusion'?",
    }
}
