"""The memory of generation by vLLM."""

from __future__ import annotations

from pipelines.estimates.shapes import Shape
from pipelines.estimates.terms import Term
from pipelines.recipe.schema import RlStage

_RESERVE = 1_000_000_000
"""What vLLM's profile run leaves for its activations, samplers and CUDA graphs; more for many parallel sequences."""


def generation_terms(stage: RlStage, shape: Shape, gpu_bytes: int | None) -> list[Term]:
    """Return what vLLM takes of a GPU: its share, or if the GPU's memory is unknown the least that it needs."""
    if gpu_bytes is not None:
        return [Term("vLLM's share", round(stage.rollout.gpu_memory * gpu_bytes), "rollout.gpu_memory")]
    weights = weight_bytes(stage, shape)
    longest = stage.rollout.max_prompt_tokens + stage.rollout.max_response_tokens
    return [
        Term("vLLM's weights", weights, "rollout.tensor_parallel"),
        Term("vLLM's cache of one response", longest * cache_bytes(stage, shape), "rollout.max_response_tokens"),
        Term("vLLM's activations", _RESERVE),
    ]


def weight_bytes(stage: RlStage, shape: Shape, width: int = 2) -> int:
    """Return the bytes of vLLM's weights on a GPU."""
    return width * shape.parameters // stage.rollout.tensor_parallel


def cache_bytes(stage: RlStage, shape: Shape, width: int = 2) -> int:
    """Return the bytes of keys and values per token on a GPU (arXiv 2309.06180, section 3.1).

    With more GPUs than key heads, the heads are copied.
    """
    heads = -(-shape.key_value_heads // stage.rollout.tensor_parallel)
    return 2 * shape.layers * heads * shape.head_width * width


def parallel_responses(stage: RlStage, shape: Shape, gpu_bytes: int) -> int:
    """Return how many responses of the greatest length fit vLLM's share of a GPU at once; 0: its weights do not fit."""
    free = stage.rollout.gpu_memory * gpu_bytes - weight_bytes(stage, shape) - _RESERVE
    longest = stage.rollout.max_prompt_tokens + stage.rollout.max_response_tokens
    return max(0, int(free // (longest * cache_bytes(stage, shape))))
