"""How a stage trains its models on one device, as its trainer does with the stage's fields and upstream keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pipelines.estimates.shapes import Shape
from pipelines.estimates.training import Keys, Training
from pipelines.recipe.nested import get_path, unflatten
from pipelines.recipe.schema import Hardware, Lora, RlStage, SftStage
from pipelines.trainers.base import Platform

_ACTOR = "actor_rollout_ref.actor"
_ZERO3_LIVE = 1_000_000_000
"""`stage3_max_live_parameters` of LLaMA-Factory's DeepSpeed files."""

_ZERO2_BUCKETS = 1_000_000_000
"""`allgather_bucket_size` and `reduce_bucket_size` of those files, in values of 2 bytes."""


@dataclass(frozen=True)
class Engine:
    """The keys of a model that verl trains or evaluates."""

    group: str
    """Its engine's group."""
    model: str
    """Its model's group."""


ACTOR = Engine(f"{_ACTOR}.fsdp_config", "actor_rollout_ref.model")
REFERENCE = Engine("actor_rollout_ref.ref.fsdp_config", "actor_rollout_ref.model")
CRITIC = Engine("critic.fsdp", "critic.model")
_SFT = Engine("engine", "model")


def read_llamafactory(stage: SftStage, hardware: Hardware, platform: Platform, shape: Shape) -> tuple[Training, Keys]:
    """Return how LLaMA-Factory 0.9.5 trains (model/adapter.py `init_adapter`, examples/deepspeed; transformers' Trainer)."""
    given, devices = stage.llamafactory, hardware.nodes * hardware.gpus_per_node
    mixed = platform == "cuda" and not given.get("pure_bf16")
    zero = _zero_stage(given.get("deepspeed")) if platform == "cuda" else None
    whole, compute = stage.lora is None, 2 if platform == "cuda" else 4
    weights = float(compute)
    if platform == "cuda" and isinstance(bits := given.get("quantization_bit"), int):
        weights = bits / 8
    if whole and mixed and zero is None:
        weights = 4 + 2  # autocast keeps a copy in 16 bits during a forward pass
    master = 4 if mixed and zero is not None else 0
    state = 8 if mixed or platform == "cpu" else 4
    gathered = min(shape.parameters, _ZERO3_LIVE) if zero == 3 else _ZERO2_BUCKETS if zero in (1, 2) else 0
    offloads = "offload" in str(given.get("deepspeed"))
    trained = shape.parameters if whole else _adapters(stage.lora, shape)
    training = Training(
        rows=stage.batch.per_device,
        tokens=stage.max_tokens,
        compute=compute,
        weights=weights,
        trained=trained,
        trained_weights=0 if whole else (4 if mixed else compute),
        gradients=compute if zero or not mixed else 4,
        optimizer=master + state,
        weight_shards=devices if zero == 3 else 1,
        gradient_shards=devices if zero in (2, 3) else 1,
        optimizer_shards=devices if zero else 1,
        gathered=gathered,
        checkpointing=not given.get("disable_gradient_checkpointing", False),
        logit_bytes=compute + 12,
        optimizer_on_host=offloads,
        weights_on_host=offloads and zero == 3,
    )
    per_row = "batch.per_device" if stage.batch.per_device > 1 else "max_tokens"
    sharded = "more GPUs" if zero == 3 else "`lora`" if devices == 1 else "llamafactory.deepspeed: zero3"
    return training, Keys(
        weights=sharded,
        optimizer=sharded if whole else "lora.rank",
        activations=per_row if training.checkpointing else "llamafactory.disable_gradient_checkpointing: false",
        logits="llamafactory.enable_liger_kernel: true"
        if not given.get("enable_liger_kernel") and per_row == "max_tokens"
        else per_row,
    )


def read_verl_sft(stage: SftStage, hardware: Hardware, platform: Platform, shape: Shape) -> tuple[Training, Keys]:
    """Return how verl's SFT trainer trains (workers/engine/fsdp/transformer_impl.py, v0.9.1)."""
    size = stage.batch.per_device, stage.max_tokens
    training = _read_engine(unflatten(stage.verl), _SFT, hardware, platform, shape, stage.lora, size)
    lowered = "batch.per_device" if stage.batch.per_device > 1 else "max_tokens"
    return training, _verl_keys(training, "verl: engine", "verl: model", lowered, lora=stage.lora is not None)


def read_verl_rl(stage: RlStage, engine: Engine, hardware: Hardware, platform: Platform, shape: Shape) -> tuple[Training, Keys]:
    """Return how verl trains the policy or the critic of a stage, or scores with its reference (workers/engine_workers.py)."""
    keys = unflatten(stage.verl)
    policy = engine is not CRITIC
    rows, tokens = stage.batch.micro_per_gpu, stage.rollout.max_prompt_tokens + stage.rollout.max_response_tokens
    group = _ACTOR if policy else "critic"
    if get_path(keys, f"{group}.use_dynamic_bsz", get_path(keys, f"{_ACTOR}.use_dynamic_bsz", False)):
        rows = 1
        default = 16384 if policy else 32768
        most = int(get_path(keys, f"{group}.ppo_max_token_len_per_gpu", default))
        tokens = max(tokens, most * _sequence_parallel(keys, engine))
    lora = stage.lora if policy else None
    training = _read_engine(keys, engine, hardware, platform, shape, lora, (rows, tokens))
    if engine is ACTOR and get_path(keys, f"{_ACTOR}.entropy_coeff", 0):
        training = replace(training, logit_bytes=training.logit_bytes + (2 * training.compute if training.logit_bytes else 0))
    if engine is REFERENCE:
        # It has no optimizer, no backward pass, and with FSDP2 always CPUOffloadPolicy (transformer_impl.py).
        forward = min(training.logit_bytes, 3 * training.compute)
        training = replace(training, trained=0, logit_bytes=forward, weights_on_host=platform == "cuda")
    lowered = "batch.micro_per_gpu" if rows > 1 else "rollout.max_response_tokens"
    return training, _verl_keys(training, f"verl: {engine.group}", f"verl: {engine.model}", lowered, lora=lora is not None)


def _read_engine(
    keys: Mapping[str, Any],
    engine: Engine,
    hardware: Hardware,
    platform: Platform,
    shape: Shape,
    lora: Lora | None,
    size: tuple[int, int],
) -> Training:
    """Return the training of an FSDP engine.

    Args:
        size: rows of a forward pass, and tokens of a row, which several GPUs may share.
    """

    def get(key: str, default: Any) -> Any:
        return get_path(keys, f"{engine.group}.{key}", default)

    devices = hardware.nodes * hardware.gpus_per_node
    sharded = get("fsdp_size", -1)
    shards = min(sharded, devices) if isinstance(sharded, int) and sharded > 0 else devices
    cpu = platform == "cpu"
    width = 4 if cpu or get("model_dtype", "fp32") in ("fp32", "float32") else 2
    compute = 4 if cpu else 2
    whole = lora is None
    trained = shape.parameters if whole else _adapters(lora, shape)
    attention = str(get_path(keys, f"{engine.model}.override_config.attn_implementation", "sdpa"))
    fused = bool(get_path(keys, f"{engine.model}.use_fused_kernels", False))
    # With flash-attn's cross entropy, the logits and a gradient; without, also a copy without padding, the log-probabilities
    # and a second gradient.
    copies = 0 if fused else 2 if attention.startswith("flash") else 5
    return Training(
        rows=size[0],
        tokens=-(-size[1] // _sequence_parallel(keys, engine)),
        compute=compute,
        weights=width,
        trained=trained,
        trained_weights=0 if whole else width / shards,
        gradients=width,
        optimizer=2 * width,
        weight_shards=shards,
        gradient_shards=shards,
        optimizer_shards=shards,
        gathered=2 * shape.layer_parameters + shape.embedding_parameters,
        checkpointing=bool(get_path(keys, f"{engine.model}.enable_gradient_checkpointing", not cpu)),
        logit_bytes=copies * compute,
        param_offload=bool(get("param_offload", False)) and not cpu,
        optimizer_offload=bool(get("optimizer_offload", False)) and not cpu,
        weights_on_host=bool(get("offload_policy", False)) and not cpu,
        optimizer_on_host=bool(get("offload_policy", False)) and not cpu,
    )


def _sequence_parallel(keys: Mapping[str, Any], engine: Engine) -> int:
    """Return the GPUs that share a sequence (Ulysses); in verl, the older of two keys wins if it is above 1."""
    outer = engine.group.rpartition(".")[0]
    places = (f"{outer}.ulysses_sequence_parallel_size" if outer else "", f"{engine.group}.ulysses_sequence_parallel_size")
    sizes = [get_path(keys, place, 1) for place in places if place]
    return next((size for size in sizes if isinstance(size, int) and size > 1), 1)


def _verl_keys(training: Training, engine: str, model: str, rows: str, *, lora: bool) -> Keys:
    sharded = "more GPUs" if lora else "`lora`, or more GPUs"
    return Keys(
        weights=f"{engine}.offload_policy: true" if lora else sharded,
        optimizer="lora.rank" if lora else f"{engine}.offload_policy: true",
        activations=rows if training.checkpointing else f"{model}.enable_gradient_checkpointing: true",
        logits=f"{model}.use_fused_kernels: true" if rows.startswith(("rollout", "max")) else rows,
    )


def _adapters(lora: Lora | None, shape: Shape) -> int:
    return 0 if lora is None else shape.adapter_parameters(lora.rank, lora.target)


def _zero_stage(deepspeed: object) -> int | None:
    """Return the ZeRO stage of a DeepSpeed file, by its name; None: DeepSpeed is not used, or its stage is unknown."""
    if not isinstance(deepspeed, str):
        return None
    name = deepspeed.rpartition("/")[2]
    return next((stage for stage in (3, 2, 1, 0) if f"zero{stage}" in name or f"z{stage}" in name), None)
