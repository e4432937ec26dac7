"""Keys under `verl:` and `llamafactory:` that a smoke removes: those that a CPU does not support, and those tied to size."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from pipelines.errors import InputError
from pipelines.recipe.nested import leaves
from pipelines.recipe.schema import Hardware, Recipe, RlStage, SftStage
from pipelines.trainers.verl import cpu

_GPUS = "for GPUs"
_SIZE = "for larger batches or longer training"
_ONE = "one is enough"
_TRACKING = "smokes are not tracked"

# Reason -> patterns of keys, separated by spaces. The first match counts.
_VERL = {
    "for several GPUs": "*.ulysses_sequence_parallel_size *.fsdp_size *.data_parallel_size *.expert_parallel_size "
    "*.pipeline_model_parallel_size",
    _SIZE: "*_micro_batch_size_per_gpu *.lr_warmup_steps *.total_training_steps",
    _ONE: "*.num_workers",
    _TRACKING: "*profiler.* trainer.logger",
}
_VERL_ON_CPU = {
    _GPUS: "*.override_config.attn_implementation *.param_offload *.optimizer_offload *.offload_policy "
    "*.enable_activation_offload *.use_liger *.use_fused_kernels *.engine_kwargs.* *.quantization* *.max_num_batched_tokens",
    "only vLLM runs on a CPU": "*.rollout.name",
}
_LLAMAFACTORY = {
    _SIZE: "warmup_steps logging_steps",
    _ONE: "preprocessing_num_workers dataloader_num_workers",
    _TRACKING: "report_to",
}
_LLAMAFACTORY_ON_CPU = {
    _GPUS: "deepspeed fsdp* bf16 fp16 pure_bf16 tf32 flash_attn enable_liger_kernel use_unsloth* quantization_* optim ray_*",
}

DroppedKeys = Iterator[tuple[tuple[str, ...], str]]
"""The path of each key in its section, and the reason."""


def dropped_verl_keys(stage: SftStage | RlStage, recipe: Recipe, on_cpu: bool) -> DroppedKeys:
    """Return the keys of `verl:` to remove; loading has nested them."""
    engine = stage.verl.get("model_engine", "dp")
    if engine != "dp" and on_cpu:
        raise InputError(f"model_engine {engine} does not run on a CPU; remove it for the smoke")
    replaced = [".".join(path) for path, _ in leaves(_cpu_settings(stage, recipe))] if on_cpu else []
    for path, _ in leaves(stage.verl):
        name = ".".join(path)
        why = _find_reason(_VERL | (_VERL_ON_CPU if on_cpu else {}), name)
        if why is None and any(f"{name}.".startswith(f"{each}.") for each in replaced):
            why = "replaced by the setting for CPUs"
        if why is not None:
            yield path, why


def dropped_llamafactory_keys(stage: SftStage, on_cpu: bool) -> DroppedKeys:
    """Return the keys of `llamafactory:` to remove."""
    for name in stage.llamafactory:
        if why := _find_reason(_LLAMAFACTORY | (_LLAMAFACTORY_ON_CPU if on_cpu else {}), name):
            yield (name,), why


def _find_reason(table: Mapping[str, str], name: str) -> str | None:
    return next((why for why, patterns in table.items() if any(fnmatchcase(name, each) for each in patterns.split())), None)


def _cpu_settings(stage: SftStage | RlStage, recipe: Recipe) -> Mapping[str, Any]:
    """Return the settings with which the stage is rendered on a CPU."""
    if isinstance(stage, SftStage):
        return cpu.sft_settings(stage.model_copy(update={"packing": False}))
    return cpu.rl_settings(stage, recipe.model_copy(update={"hardware": Hardware(platform="cpu")}))
