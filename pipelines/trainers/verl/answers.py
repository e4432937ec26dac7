"""Validate stages with verl 0.9.1: `python -m pipelines.trainers.verl.answers REQUEST.json` in verl's environment.

Everything that verl does without a GPU: the configuration as its entry points compose it, their own validation, the
configuration classes of the workers, the imports that the configuration names, and the data set.
"""

from __future__ import annotations

import sys
from importlib import import_module, invalidate_caches
from typing import Any

from pipelines.trainers.answering import Answer, Question, main
from pipelines.trainers.lora_targets import check_targets


def answer(question: Question, found: Answer) -> None:
    """Complete the answer, or raise verl's exception."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    # As `main_ppo --config-path FOLDER --config-name train` does, or the command of an entry point.
    how = question.entry or {"folder": question.folder, "name": "train", "overrides": []}
    with initialize_config_dir(how["folder"], version_base=None):
        config = compose(how["name"], how["overrides"])
    if question.entry is not None:
        _import_entry(question.module, how["import"])
        found.facts.append(f"{question.module} imports")
    validate = _validate_sft if question.module == "verl.trainer.sft_trainer" else _validate_rl
    OmegaConf.to_container(config, resolve=True)  # resolves every reference between keys
    kept = validate(config, question)
    if kept == 0 and not question.stands_in:
        found.problem = f"it leaves out all {question.rows:,} rows: their prompts are too long"
    elif kept is not None:
        found.facts.append(f"{kept:,} of {question.rows:,} rows are {'read' if question.stands_in else 'left to train on'}")


def _import_entry(module: str, folder: str) -> None:
    """Import an entry point as its processes do, without starting it; then forget it, for other checkouts of the same name."""
    sys.path.insert(0, folder)
    try:
        import_module(module)
    finally:
        sys.path.remove(folder)
        first = module.partition(".")[0]
        for name in [each for each in sys.modules if each == first or each.startswith(f"{first}.")]:
            del sys.modules[name]
        invalidate_caches()


def _validate_rl(config: Any, question: Question) -> int | None:
    """Do what `main`, `TaskRunnerV1.run`, the trainer and its workers do with the configuration (verl.trainer.main_ppo)."""
    from omegaconf import OmegaConf, open_dict
    from verl.trainer.ppo.checkpoint_callback import build_checkpoint_callback
    from verl.trainer.ppo.reward import get_custom_reward_fn
    from verl.trainer.ppo.utils import create_rl_dataset, need_critic, need_reference_policy
    from verl.utils.config import omega_conf_to_dataclass, validate_config
    from verl.utils.import_utils import load_extern_type

    reference = need_reference_policy(config)
    validate_config(config, reference, need_critic(config))
    OmegaConf.resolve(config)
    model = omega_conf_to_dataclass(config.actor_rollout_ref.model)
    _check_lora(model, question)
    omega_conf_to_dataclass(config.actor_rollout_ref.rollout)
    if reference:
        group = config.actor_rollout_ref.ref
        with open_dict(group):  # as workers/engine_workers.py `init_model` does
            group.ppo_mini_batch_size = config.actor_rollout_ref.actor.ppo_mini_batch_size
            group.ppo_micro_batch_size = group.pop("log_prob_micro_batch_size", None)
            group.ppo_micro_batch_size_per_gpu = group.pop("log_prob_micro_batch_size_per_gpu", None)
            group.use_dynamic_bsz = group.pop("log_prob_use_dynamic_bsz", False)
            group.ppo_max_token_len_per_gpu = group.pop("log_prob_max_token_len_per_gpu", None)
        omega_conf_to_dataclass(group)
    build_checkpoint_callback(config)
    get_custom_reward_fn(config)
    sampler = config.trainer.v1.sampler.get("custom_sampler")
    if sampler and sampler.get("path"):
        load_extern_type(sampler.path, sampler.name)
    if not question.rows:
        return None
    with open_dict(config.data):
        config.data.filter_overlong_prompts_workers = None  # a few rows need no extra process
        if question.stands_in:
            config.data.filter_overlong_prompts = False  # the stand-in has other tokens
    return len(create_rl_dataset(config.data.train_files, config.data, model.tokenizer, model.processor, is_train=True))


def _validate_sft(config: Any, question: Question) -> int | None:
    """Do what `SFTTrainer._build_config` and `_build_dataset` do (verl.trainer.sft_trainer)."""
    from verl.trainer.sft_trainer import create_sft_dataset
    from verl.utils.config import omega_conf_to_dataclass

    model = omega_conf_to_dataclass(config.model)
    _check_lora(model, question)
    for group in (config.engine, config.optim, config.checkpoint, config.profiler):
        omega_conf_to_dataclass(group)
    if not question.rows:
        return None
    dataset = create_sft_dataset(config.data.train_files, config.data, model.tokenizer, model.processor)
    for index in range(len(dataset)):
        dataset[index]  # renders the row; raises if it is too long and cutting is off
    return len(dataset)


def _check_lora(model: Any, question: Question) -> None:
    if model.lora_rank > 0 and model.target_modules != "all-linear" and not question.stands_in:
        check_targets(model.hf_config, model.target_modules)


if __name__ == "__main__":
    main(answer)
