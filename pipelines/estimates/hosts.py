"""Main memory of the machine that needs the most, at the peak of a stage."""

from __future__ import annotations

from collections.abc import Sequence

from pipelines.estimates.generation import cache_bytes, weight_bytes
from pipelines.estimates.shapes import Shape
from pipelines.estimates.terms import Phase, Term, make_phase
from pipelines.estimates.training import Keys, Training, pass_terms, state_terms
from pipelines.recipe.schema import Hardware, RlStage, SftStage
from pipelines.trainers.base import Platform

# What processes take with a tiny model on a CPU: packages, threads and Ray. From the peaks of whole runs with the pinned
# versions: 0.64 GB of SFT by LLaMA-Factory, 6.5 GB of GRPO with one worker and 7.9 GB with two, if each process imports for
# itself. After its imports, a process of LLaMA-Factory has 0.47 GB, of verl 0.55 to 0.64, of vLLM 0.52, torchrun 0.15.
_TRAINER = {"llamafactory": 620_000_000, "verl": 650_000_000}
_TORCHRUN = 150_000_000
_VLLM = 750_000_000
_RAY = 5_100_000_000
"""Ray's own processes, verl's driver and task runner, TransferQueue, agent loops and reward workers."""

_RAY_FORKED = 1_250_000_000
"""The same on a CPU, where processes are forked from one that has imported the packages (trainers/verl/preload)."""

_CUDA = 2_500_000_000
_FILE = 5_000_000_000
"""The usual size of one file of weights."""

_CPU_CACHE = 1 << 30
"""`VLLM_CPU_KVCACHE_SPACE` (trainers/verl/cpu.py); pages that are not used take no memory."""

_CPU_SEQUENCES = 32
"""`max_num_seqs` there."""

_BUCKET = 1 << 30
"""`update_weights_bucket_megabytes` on a CPU; pages that are not written take no memory."""


def sft_host(
    stage: SftStage, hardware: Hardware, platform: Platform, shape: Shape, training: Training, terms: Sequence[Term]
) -> Phase:
    """Return the main memory of supervised fine-tuning: its processes, and on a CPU what a GPU would hold."""
    devices = hardware.gpus_per_node
    launcher = _TORCHRUN if stage.trainer == "verl" or devices > 1 or platform == "cuda" else 0
    processes = Term("processes", launcher + devices * (_TRAINER[stage.trainer] + (_CUDA if platform == "cuda" else 0)))
    if platform == "cpu":
        return make_phase("train", [processes], [_times(devices, term) for term in terms])
    return make_phase(
        "train", [processes], _offloaded(training, shape, hardware, ""), [_loading(shape, devices, stage.trainer, training)]
    )


def rl_host(
    stage: RlStage,
    hardware: Hardware,
    platform: Platform,
    shape: Shape,
    models: Sequence[tuple[str, Training, Keys]],
) -> Phase:
    """Return the main memory of reinforcement learning."""
    devices = hardware.gpus_per_node
    engines = max(1, devices // stage.rollout.tensor_parallel)
    each = _TRAINER["verl"] + (_CUDA if platform == "cuda" else 0)
    ray = _RAY_FORKED if platform == "cpu" else _RAY
    processes = Term("processes", ray + devices * each + engines * _VLLM)
    if platform == "cpu":
        terms: list[Term] = []
        for name, training, keys in models:
            of = f" of {name}"
            terms += state_terms(training, shape, keys, of)
        _, policy, keys = models[0]
        terms += pass_terms(policy, shape, keys, " of the policy")
        weights = weight_bytes(stage, shape, 4)
        longest = stage.rollout.max_prompt_tokens + stage.rollout.max_response_tokens
        sequences = min(_CPU_SEQUENCES, stage.batch.prompts * stage.rollout.samples)
        cache = min(_CPU_CACHE, sequences * longest * cache_bytes(stage, shape, 4))
        vllm = [Term("vLLM's weights", devices * weights), Term("vLLM's cache", engines * cache)]
        moved = Term("weights on their way to vLLM", min(_BUCKET, 4 * shape.parameters))
        return make_phase("train", [processes], [_times(devices, term) for term in terms], vllm, [moved])
    offloaded = [term for name, training, _ in models for term in _offloaded(training, shape, hardware, f" of {name}")]
    # With adapters, vLLM sleeps without discarding its weights.
    slept = Term("vLLM's weights", devices * weight_bytes(stage, shape) if stage.lora is not None else 0)
    return make_phase("train", [processes], offloaded, [slept, _loading(shape, devices, "verl", models[0][1])])


def _offloaded(training: Training, shape: Shape, hardware: Hardware, of: str) -> list[Term]:
    """Return what the GPUs of one machine keep in main memory."""
    devices = hardware.gpus_per_node
    weights = training.weights * shape.parameters / training.weight_shards
    optimizer = training.optimizer * training.trained / training.optimizer_shards
    on_host = training.weights_on_host or training.param_offload
    kept = training.optimizer_on_host or training.optimizer_offload
    return [
        Term(f"weights{of}", round(devices * weights) if on_host else 0),
        Term(f"optimizer{of}", round(devices * optimizer) if kept else 0),
    ]


def _loading(shape: Shape, devices: int, trainer: str, training: Training) -> Term:
    """Return the copy in which weights are read.

    With verl the first process of a machine reads all of them in 32 bits, or every process if the embeddings are tied
    (utils/fsdp_utils.py `get_init_weight_context_manager`). Otherwise each process reads them in 16 bits, of which ZeRO-3 keeps
    one file at a time.
    """
    if trainer == "verl":
        read = 4 * shape.parameters * (devices if shape.tied else 1)
    elif training.weight_shards > 1:
        read = devices * min(2 * shape.parameters, _FILE)
    else:
        read = devices * 2 * shape.parameters
    return Term("weights while they are loaded", read)


def _times(count: int, term: Term) -> Term:
    return Term(term.name, count * term.bytes, term.lower)
