"""The memory of training one model on one device: weights, gradients, optimizer, activations and logits."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.estimates.shapes import Shape
from pipelines.estimates.terms import Term


@dataclass(frozen=True)
class Training:
    """How a model is trained on one device. Sizes are in bytes per weight, before they are divided among the shards."""

    rows: int
    """Rows of a forward pass."""
    tokens: int
    """Tokens of a row on this device."""
    compute: int
    """Bytes of a value in forward and backward passes: 2 for bfloat16."""
    weights: float
    """Of all weights."""
    trained: int
    """Weights that have gradients: all, or those of the adapters."""
    trained_weights: float
    """Of an adapter's weights, which are kept besides; 0 for full fine-tuning."""
    gradients: float
    optimizer: float
    weight_shards: int
    gradient_shards: int
    optimizer_shards: int
    gathered: int
    """Weights that are gathered from the shards at the same time."""
    checkpointing: bool
    """Whether activations are recomputed in the backward pass, layer by layer."""
    logit_bytes: float
    """Bytes per logit, of all copies at the peak; 0: the logits are never materialized."""
    param_offload: bool = False
    """Whether weights are in main memory when they are not used."""
    optimizer_offload: bool = False
    """Whether the optimizer's state is in main memory when it is not used."""
    optimizer_on_host: bool = False
    """Whether the optimizer always stays in main memory (DeepSpeed's offload)."""
    weights_on_host: bool = False
    """Whether weights always stay in main memory, but for those in use."""


@dataclass(frozen=True)
class Keys:
    """The keys of the recipe that lower the terms."""

    weights: str
    optimizer: str
    activations: str
    logits: str


def state_terms(training: Training, shape: Shape, keys: Keys, of: str) -> list[Term]:
    """Return weights, gradients and optimizer.

    16 bytes per weight for mixed precision with AdamW, whatever their split into copies, divided among the shards of what is
    sharded: ZeRO (arXiv 1910.02054, section 3.1 and figure 1); FSDP is its stage 3 (arXiv 2304.11277, section 3).

    Args:
        of: whose they are, such as `of the policy`.
    """
    own = training.trained_weights * training.trained
    weights = 0 if training.weights_on_host else training.weights * shape.parameters / training.weight_shards
    optimizer = 0.0 if training.optimizer_on_host else training.optimizer * training.trained / training.optimizer_shards
    gradients = training.gradients * training.trained / training.gradient_shards
    return [
        Term(f"weights{of}", round(weights + own), keys.weights),
        Term(f"gathered weights{of}", training.compute * training.gathered if training.gathered else 0),
        Term(f"gradients{of}", round(gradients), keys.optimizer),
        Term(f"optimizer{of}", round(optimizer), keys.optimizer),
    ]


def resident_terms(training: Training, shape: Shape, keys: Keys, of: str) -> list[Term]:
    """Return what stays on the device while the model is not in use."""
    weights, _, _, optimizer = state_terms(training, shape, keys, of)
    kept = [] if training.param_offload or training.weights_on_host else [weights]
    return kept if training.optimizer_offload or training.optimizer_on_host else [*kept, optimizer]


def pass_terms(training: Training, shape: Shape, keys: Keys, of: str, *, head: bool = True) -> list[Term]:
    """Return the terms of a forward and backward pass.

    Args:
        head: whether it computes logits; a value model has one output instead.
    """
    tokens = training.rows * training.tokens
    return [
        Term(f"activations{of}", round(tokens * activation_bytes(training, shape)), keys.activations),
        Term(f"logits{of}", round(tokens * shape.vocabulary * training.logit_bytes) if head else 0, keys.logits),
    ]


def activation_bytes(training: Training, shape: Shape) -> float:
    """Return the bytes of activations per token.

    Without recomputation, a layer keeps the inputs of each operation for the backward pass (the way of counting is that of
    arXiv 2205.05198, section 4.1, applied to the code of transformers' models/llama/modeling_llama.py): of each norm the
    input in 32 bits and the normalized value, the inputs of the projections, queries, repeated keys and values and the output
    of attention, twice, and four tensors of the width of the MLP. Attention keeps no matrix of scores (arXiv 2205.14135). With
    recomputation, a layer keeps its input only, and one layer at a time has the rest (section 4.2, "full").
    """
    width = training.compute
    norms = 2 * (4 + width) * shape.hidden
    projections = 2 * width * shape.hidden
    attention = 5 * width * shape.queries
    mlp = 4 * width * shape.inner * shape.active_experts
    layer = norms + projections + attention + mlp
    if not training.checkpointing:
        return float(shape.layers * layer)
    return float(shape.layers * width * shape.hidden + layer)
