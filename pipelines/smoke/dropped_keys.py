"""Keys under `verl:` and `llamafactory:` that a smoke leaves out: what a CPU cannot do, and what belongs to the size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from pipelines.errors import InputError
from pipelines.recipe.schema import Hardware, Recipe, RlStage, SftStage

_GPUS = "for GPUs"
_SEVERAL = "for several GPUs"
_SIZE = "for larger batches, or a longer training"
_ONE = "one is enough"
_NOBODY = "nobody is told of a smoke"

_VERL = {
    "*.ulysses_sequence_parallel_size": _SEVERAL,
    "*.fsdp_size": _SEVERAL,
    "*.data_parallel_size": _SEVERAL,
    "*.expert_parallel_size": _SEVERAL,
    "*.pipeline_model_parallel_size": _SEVERAL,
    "*_micro_batch_size_per_gpu": _SIZE,
    "*.lr_warmup_steps": _SIZE,
    "*.total_training_steps": _SIZE,
    "*.num_workers": _ONE,
    "*profiler.*": _NOBODY,
    "trainer.logger": _NOBODY,
}
"""Pattern of keys -> why they go, wherever the smoke runs."""

_VERL_ON_GPUS = {
    "*.override_config.attn_implementation": _GPUS,
    "*.param_offload": _GPUS,
    "*.optimizer_offload": _GPUS,
    "*.offload_policy": _GPUS,
    "*.enable_activation_offload": _GPUS,
    "*.use_liger": _GPUS,
    "*.use_fused_kernels": _GPUS,
    "*.engine_kwargs.*": _GPUS,
    "*.quantization*": _GPUS,
    "*.max_num_batched_tokens": _GPUS,
    "*.rollout.name": "only vLLM runs on a CPU",
}
"""Those that go where it runs on a CPU."""

_LLAMAFACTORY = {
    "warmup_steps": _SIZE,
    "logging_steps": _SIZE,
    "preprocessing_num_workers": _ONE,
    "dataloader_num_workers": _ONE,
    "report_to": _NOBODY,
}
_LLAMAFACTORY_ON_GPUS = {
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
}

LeftOut = Iterator[tuple[tuple[str, ...], str]]
"""The place of a key below its section, and why it goes."""


def verl_keys_left_out(keys: Mapping[str, Any], decided: Mapping[str, Any], on_cpu: bool) -> LeftOut:
    """Which of a stage's keys go.

    Args:
        keys: nested.
        decided: what the CPU's own settings say, nested.

    Raises:
        InputError: they ask for an engine that a CPU has not.
    """
    engine = keys.get("model_engine", "dp")
    if engine != "dp" and on_cpu:
        raise InputError(f"model_engine {engine} does not run on a CPU, so it cannot be tried; take it out for the smoke")
    own = {".".join(path) for path in _leaves(decided)} if on_cpu else set()
    patterns = {**_VERL, **(_VERL_ON_GPUS if on_cpu else {})}
    for path in _leaves(keys):
        name = ".".join(path)
        why = _find(patterns, name)
        if why is None and any(name == each or name.startswith(f"{each}.") for each in own):
            why = "what a CPU needs is set instead"
        if why is not None:
            yield path, why


def llamafactory_keys_left_out(keys: Mapping[str, Any], on_cpu: bool) -> LeftOut:
    """Which of a stage's keys go."""
    patterns = {**_LLAMAFACTORY, **(_LLAMAFACTORY_ON_GPUS if on_cpu else {})}
    for name in keys:
        if (why := _find(patterns, name)) is not None:
            yield (name,), why


def _find(patterns: Mapping[str, str], name: str) -> str | None:
    return next((why for pattern, why in patterns.items() if fnmatchcase(name, pattern)), None)


def cpu_settings(stage: RlStage, recipe: Recipe) -> Mapping[str, Any]:
    """What the stage is rendered with on a CPU, whatever its keys say."""
    from pipelines.trainers.verl import cpu

    return cpu.settings(stage, recipe.model_copy(update={"hardware": Hardware(platform="cpu")}))


def cpu_sft_settings(stage: SftStage) -> Mapping[str, Any]:
    """What a stage that verl fine-tunes is rendered with on a CPU, whatever its keys say."""
    from pipelines.trainers.verl import cpu

    return cpu.sft_settings(stage.model_copy(update={"packing": False}))


def _leaves(keys: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for key, value in keys.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key)
