"""Keys under `verl:` and `llamafactory:` that a smoke leaves out: what a CPU cannot do, and what belongs to the size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from pipelines.errors import InputError
from pipelines.recipe.schema import Hardware, Recipe, RlStage

_GPUS = "for GPUs"
_SIZE = "longer than a smoke"

_VERL = {
    "*.override_config.attn_implementation": _GPUS,
    "*.ulysses_sequence_parallel_size": _GPUS,
    "*.fsdp_size": _GPUS,
    "*.param_offload": _GPUS,
    "*.optimizer_offload": _GPUS,
    "*.offload_policy": _GPUS,
    "*.enable_activation_offload": _GPUS,
    "*.use_liger": _GPUS,
    "*.use_fused_kernels": _GPUS,
    "*.engine_kwargs.*": _GPUS,
    "*.data_parallel_size": _GPUS,
    "*.expert_parallel_size": _GPUS,
    "*.pipeline_model_parallel_size": _GPUS,
    "*.quantization*": _GPUS,
    "*.rollout.name": "only vLLM runs on a CPU",
    "*.num_workers": "one is enough",
    "*profiler.*": _GPUS,
    "*.lr_warmup_steps": _SIZE,
    "*.total_training_steps": _SIZE,
    "*.max_num_batched_tokens": _GPUS,
    "trainer.logger": "nobody is told of a smoke",
}
_LLAMAFACTORY = {
    "deepspeed": _GPUS,
    "fsdp*": _GPUS,
    "bf16": _GPUS,
    "fp16": _GPUS,
    "pure_bf16": _GPUS,
    "tf32": _GPUS,
    "flash_attn": _GPUS,
    "enable_liger_kernel": _GPUS,
    "use_unsloth*": _GPUS,
    "quantization_*": _GPUS,
    "optim": _GPUS,
    "ray_*": _GPUS,
    "preprocessing_num_workers": "one is enough",
    "dataloader_num_workers": "one is enough",
    "warmup_steps": _SIZE,
    "logging_steps": _SIZE,
    "report_to": "nobody is told of a smoke",
}


def verl_keys_left_out(keys: Mapping[str, Any], decided: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Which of a stage's keys go: the place of each below `verl:`, and why.

    Args:
        keys: nested.
        decided: what the CPU's own settings say, nested.

    Raises:
        InputError: they ask for an engine that a CPU has not.
    """
    engine = keys.get("model_engine", "dp")
    if engine != "dp":
        raise InputError(f"model_engine {engine} does not run on a CPU, so it cannot be tried; take it out for the smoke")
    own = {".".join(path) for path in _leaves(decided)}
    for path in _leaves(keys):
        name = ".".join(path)
        why = next((why for pattern, why in _VERL.items() if fnmatchcase(name, pattern)), None)
        if why is None and any(name == each or name.startswith(f"{each}.") for each in own):
            why = "what a CPU needs is set instead"
        if why is not None:
            yield path, why


def llamafactory_keys_left_out(keys: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Which of a stage's keys go, and why."""
    for name in keys:
        why = next((why for pattern, why in _LLAMAFACTORY.items() if fnmatchcase(name, pattern)), None)
        if why is not None:
            yield (name,), why


def cpu_settings(stage: RlStage, recipe: Recipe) -> Mapping[str, Any]:
    """What the stage is rendered with on a CPU, whatever its keys say."""
    from pipelines.trainers.verl import cpu

    return cpu.settings(stage, recipe.model_copy(update={"hardware": Hardware(platform="cpu")}))


def _leaves(keys: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in keys.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key)
