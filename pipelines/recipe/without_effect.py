"""Upstream keys that a stage would ignore, and those for which its pinned environment lacks a package.

LLaMA-Factory 0.9.5: hparams/parser.py, hparams/finetuning_args.py.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from pipelines.recipe import secrets
from pipelines.recipe.nested import get_path, leaves
from pipelines.recipe.problems import Found
from pipelines.recipe.schema import Recipe, RlStage, SftStage
from pipelines.recipe.upstream_keys import keys
from pipelines.shipped import THIRD_PARTY

# Of LLaMA-Factory: patterns of keys -> why supervised fine-tuning ignores them.
_NEVER: Mapping[str, str] = {
    "pref_* dpo_* kto_* simpo_gamma ld_alpha ref_model*": "an sft stage has no preferences",
    "ppo_* reward_model*": "an sft stage has no rewards; use a stage of kind rl",
    "freeze_trainable_* freeze_extra_modules": "an sft stage trains the whole model, or adapters (`lora`)",
    "oft_* module_dropout": "an sft stage trains the whole model, or adapters (`lora`)",
    "export_*": "the run exports each stage's model itself",
    "vllm_* sglang_* infer_dtype infer_backend": "LLaMA-Factory only trains here",
    "ray_*": "the run starts LLaMA-Factory without its Ray trainer",
}
# Patterns of keys -> the key that they need.
_NEEDED: Mapping[str, str] = {
    "galore_*": "use_galore",
    "apollo_*": "use_apollo",
    "badam_*": "use_badam",
    "kt_*": "use_kt",
    "swanlab_*": "use_swanlab",
    "asft_alpha": "use_asft_loss",
    "eaft_alpha": "use_eaft_loss",
    "fp8_*": "fp8",
    "profiler_* profile_modules": "enable_torch_profiler",
    "double_quantization quantization_type quantization_method": "quantization_bit",
    "fsdp_config": "fsdp",
    "buffer_size": "streaming",
    "hub_*": "push_to_hub",
    "interleave_probs": "mix_strategy",
    "liger_kernel_config": "use_liger_kernel",
    "do_predict do_sample num_beams max_new_tokens temperature top_p top_k *_penalty": "predict_with_generate",
}
_OF_ADAPTERS = "lora_dropout additional_target loraplus_* use_rslora use_dora pissa_* create_new_adapter"

# Trainer -> key -> pattern of its values -> the package without which a training with it fails.
_PACKAGES: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "llamafactory": {
        "use_galore": {"True": "galore-torch"},
        "use_apollo": {"True": "apollo-torch"},
        "use_badam": {"True": "badam"},
        "use_adam_mini": {"True": "adam-mini"},
        "use_unsloth": {"True": "unsloth"},
        "use_kt": {"True": "kt-kernel"},
        "use_swanlab": {"True": "swanlab"},
        "enable_liger_kernel": {"True": "liger-kernel"},
        "use_liger_kernel": {"True": "liger-kernel"},
        "predict_with_generate": {"True": "jieba"},
        "mixture_of_depths": {"*": "mixture-of-depth"},
        "deepspeed": {"*": "deepspeed"},
        "quantization_bit": {"*": "bitsandbytes"},
        "optim": {"*8bit*": "bitsandbytes", "paged_*": "bitsandbytes"},
        "report_to": {name: name for name in ("wandb", "mlflow", "swanlab", "comet", "clearml", "trackio", "neptune")},
    },
    "verl": {
        "model_engine": {"megatron": "megatron-core", "veomni": "veomni", "torchtitan": "torchtitan"},
        "actor_rollout_ref.rollout.name": {"sglang": "sglang", "trtllm": "tensorrt-llm"},
        "actor_rollout_ref.model.use_liger": {"True": "liger-kernel"},
        "model.use_liger": {"True": "liger-kernel"},
        "trainer.logger": {name: name for name in ("mlflow", "swanlab", "clearml", "trackio")},
    },
}
_OF_METHOD = {"hqq": "hqq", "eetq": "eetq"}


def check(stage: SftStage | RlStage, recipe: Recipe) -> Found:
    """Find such keys of a stage."""
    section = stage.trainer
    values: Mapping[str, Any] = getattr(stage, section)
    if section == "llamafactory" and isinstance(stage, SftStage):
        for key in values:
            if reason := _why_ignored(key, stage):
                yield (section, key), f"without effect: {reason}"
    for path, value in leaves(values):
        if secrets.is_secret(path[-1]) and isinstance(value, str) and value and "${" not in value:
            yield (section, *path), "a recipe is kept in the run directory; set secrets in the environment of the run instead"
    yield from find_missing_packages(stage, recipe, ("cpu", "cuda"))


def _why_ignored(key: str, stage: SftStage) -> str:
    values = stage.llamafactory
    if values[key] == keys("llamafactory").get(key, {}).get("default"):
        return ""
    for patterns, reason in _NEVER.items():
        if _matches(key, patterns):
            return reason
    if stage.lora is None and _matches(key, _OF_ADAPTERS):
        return "it is about adapters; set `lora`, or remove it"
    for patterns, needed in _NEEDED.items():
        if key != needed and _matches(key, patterns) and not values.get(needed):
            return f"{needed} is not set"
    if key == "early_stopping_steps" and stage.validate_every is None:
        return "it requires `validate_every`"
    if key == "warmup_ratio" and values.get("warmup_steps"):
        return "warmup_steps is set"
    return ""


def find_missing_packages(stage: SftStage | RlStage, recipe: Recipe, platforms: Sequence[str]) -> Found:
    """Find keys whose packages no pinned environment of these platforms has; it is not known what others have.

    A recipe for GPUs loads on a CPU, because its smoke leaves out what is for GPUs.
    """
    trainer = stage.trainer
    values: Mapping[str, Any] = getattr(stage, trainer)
    if getattr(recipe.environments, trainer) is not None or f"PIPELINE_{trainer.upper()}_PYTHON" in os.environ:
        return
    where = f" for {platforms[0]}" if len(platforms) == 1 else ""
    for key, by_value in _PACKAGES[trainer].items():
        value = get_path(values, key)
        for item in value if isinstance(value, list) else [value]:
            package = next((name for pattern, name in by_value.items() if item and fnmatchcase(str(item), pattern)), None)
            if key == "quantization_bit" and package:
                package = _OF_METHOD.get(values.get("quantization_method", ""), package)
            if package and not any(package in _locked(trainer, each) for each in platforms):
                yield (
                    (trainer, *key.split(".")),
                    (
                        f"{item} needs the package {package}, which is not in the pinned environment{where}; "
                        f"set `environments.{trainer}` to a Python that has it"
                    ),
                )


@cache
def _locked(trainer: str, platform: str) -> frozenset[str]:
    """Return the packages of a pinned environment."""
    text = (THIRD_PARTY / trainer / f"{platform}.txt").read_text(encoding="utf-8")
    return frozenset(re.findall(r"^([a-z0-9][a-z0-9._-]*)==", text, re.MULTILINE | re.IGNORECASE))


def _matches(key: str, patterns: str) -> bool:
    return any(fnmatchcase(key, pattern) for pattern in patterns.split())
