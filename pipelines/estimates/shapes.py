"""The shape of a decoder: the sizes of its config.json that memory and time depend on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.models.folder import find_model_folder, flatten_text_config, read_json_object
from pipelines.recipe.schema import TinyModel

# Family and size in a model's name -> sizes in its published config.json: hidden, MLP, layers, heads, key and value heads, head
# width, vocabulary, whether the embeddings are tied. For names of the hub whose config.json is not on this machine.
_QWEN2, _QWEN3, _LLAMA3 = r"qwen-?2(?:\.5)?(?![.\d])", r"qwen-?3(?![.\d])", r"llama-?3(?:\.[123])?(?![.\d])"
_PUBLISHED: Mapping[tuple[str, str], tuple[int, int, int, int, int, int, int, bool]] = {
    (_QWEN2, "0.5b"): (896, 4864, 24, 14, 2, 64, 151936, True),
    (_QWEN2, "1.5b"): (1536, 8960, 28, 12, 2, 128, 151936, True),
    (_QWEN2, "3b"): (2048, 11008, 36, 16, 2, 128, 151936, True),
    (_QWEN2, "7b"): (3584, 18944, 28, 28, 4, 128, 152064, False),
    (_QWEN2, "14b"): (5120, 13824, 48, 40, 8, 128, 152064, False),
    (_QWEN2, "32b"): (5120, 27648, 64, 40, 8, 128, 152064, False),
    (_QWEN2, "72b"): (8192, 29568, 80, 64, 8, 128, 152064, False),
    (_QWEN3, "0.6b"): (1024, 3072, 28, 16, 8, 128, 151936, True),
    (_QWEN3, "1.7b"): (2048, 6144, 28, 16, 8, 128, 151936, True),
    (_QWEN3, "4b"): (2560, 9728, 36, 32, 8, 128, 151936, True),
    (_QWEN3, "8b"): (4096, 12288, 36, 32, 8, 128, 151936, False),
    (_QWEN3, "14b"): (5120, 17408, 40, 40, 8, 128, 151936, False),
    (_QWEN3, "32b"): (5120, 25600, 64, 64, 8, 128, 151936, False),
    (r"llama-?2", "7b"): (4096, 11008, 32, 32, 32, 128, 32000, False),
    (r"llama-?2", "13b"): (5120, 13824, 40, 40, 40, 128, 32000, False),
    (r"llama-?2", "70b"): (8192, 28672, 80, 64, 8, 128, 32000, False),
    (_LLAMA3, "1b"): (2048, 8192, 16, 32, 8, 64, 128256, True),
    (_LLAMA3, "3b"): (3072, 8192, 28, 24, 8, 128, 128256, True),
    (_LLAMA3, "8b"): (4096, 14336, 32, 32, 8, 128, 128256, False),
    (_LLAMA3, "70b"): (8192, 28672, 80, 64, 8, 128, 128256, False),
}
_SIZE = re.compile(r"(?<![a-z0-9.])\d+(?:\.\d+)?b(?![a-z0-9])")


@dataclass(frozen=True)
class Shape:
    """The sizes of a decoder with gated MLPs, such as Llama and Qwen."""

    hidden: int
    inner: int
    """Width of the MLP; of one expert in a mixture of experts."""
    layers: int
    heads: int
    key_value_heads: int
    head_width: int
    vocabulary: int
    tied: bool
    """Whether the input and output embeddings are one."""
    experts: int = 1
    active_experts: int = 1
    """Experts that a token passes."""

    @property
    def queries(self) -> int:
        """Width of all query heads."""
        return self.heads * self.head_width

    @property
    def keys(self) -> int:
        """Width of all key heads, and of all value heads."""
        return self.key_value_heads * self.head_width

    @property
    def layer_parameters(self) -> int:
        """Weights of a layer, without biases."""
        attention = 2 * self.hidden * (self.queries + self.keys)
        router = self.hidden * self.experts if self.experts > 1 else 0
        return attention + self.experts * 3 * self.hidden * self.inner + router + 2 * self.hidden

    @property
    def embedding_parameters(self) -> int:
        """Weights of the input and output embeddings."""
        return self.vocabulary * self.hidden * (1 if self.tied else 2)

    @property
    def parameters(self) -> int:
        """All weights."""
        return self.layers * self.layer_parameters + self.embedding_parameters + self.hidden

    @property
    def active_parameters(self) -> int:
        """Weights that a token passes."""
        idle = self.experts - self.active_experts
        return self.parameters - self.layers * idle * 3 * self.hidden * self.inner

    def adapter_parameters(self, rank: int, target: str) -> int:
        """Return the weights of LoRA adapters, rank x (in + out) per layer (arXiv 2106.09685, section 4.1)."""
        sizes = {
            "q_proj": self.hidden + self.queries,
            "k_proj": self.hidden + self.keys,
            "v_proj": self.hidden + self.keys,
            "o_proj": self.hidden + self.queries,
            "gate_proj": self.experts * (self.hidden + self.inner),
            "up_proj": self.experts * (self.hidden + self.inner),
            "down_proj": self.experts * (self.hidden + self.inner),
        }
        names = sizes if target == "all" else [name.strip() for name in target.split(",")]
        return self.layers * rank * sum(sizes.get(name, self.hidden + self.inner) for name in names)


def read_shape(model: str | TinyModel, revision: str | None = None) -> Shape | None:
    """Return the shape of a model by its config.json on this machine, or by its published sizes; None if unknown."""
    if isinstance(model, TinyModel):
        width, heads = model.hidden_size, model.heads
        return Shape(width, 3 * width, model.layers, heads, heads, width // heads, model.vocabulary, tied=False)
    folder = find_model_folder(model, revision)
    if folder is not None:
        return shape_of(read_json_object(folder / "config.json"))
    name = model.rpartition("/")[2].lower()
    size = _SIZE.search(name)
    for (family, published), sizes in _PUBLISHED.items():
        if size is not None and size[0] == published and re.search(family, name):
            return Shape(*sizes)
    return None


def shape_of(config: Mapping[str, Any]) -> Shape | None:
    """Return the shape in a config.json; None if it does not have the sizes of such a decoder."""
    config = flatten_text_config(config)
    names = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size")
    values = [config.get(name) for name in names]
    if not all(isinstance(value, int) and value > 0 for value in values):
        return None
    hidden, inner, layers, heads, vocabulary = (int(value) for value in values if value is not None)
    experts = config.get("num_experts") or config.get("num_local_experts") or config.get("n_routed_experts") or 1
    return Shape(
        hidden=hidden,
        inner=config.get("moe_intermediate_size") or inner if experts > 1 else inner,
        layers=layers,
        heads=heads,
        key_value_heads=config.get("num_key_value_heads") or heads,
        head_width=config.get("head_dim") or hidden // heads,
        vocabulary=vocabulary,
        tied=bool(config.get("tie_word_embeddings")),
        experts=experts,
        active_experts=min(experts, config.get("num_experts_per_tok") or 1),
    )
