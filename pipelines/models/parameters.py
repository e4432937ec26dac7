"""How many parameters a model has, without loading it."""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.models.folder import find_folder, read_json
from pipelines.recipe.schema import TinyModel

# `7B`, `0.5b`, `8x7B`, `350M`, as a word of its own in a model's name.
_IN_NAME = re.compile(r"(?<![A-Za-z0-9.])(?:(\d+)x)?(\d+(?:\.\d+)?)([BbMm])(?![A-Za-z0-9])")
_HEADER_BYTES = 100_000_000


def count_parameters(model: str | TinyModel) -> int | None:
    """The parameters of a made model, a folder or a hub name; None where nothing tells.

    Of a model that is here, those in the headers of its weights, or about as many as its config.json makes; of another one
    those that its name says.
    """
    if isinstance(model, TinyModel):
        shape = {"hidden_size": model.hidden_size, "num_hidden_layers": model.layers, "vocab_size": model.vocabulary}
        heads = {"num_attention_heads": model.heads, "intermediate_size": 3 * model.hidden_size}
        return estimate(shape | heads)
    folder = find_folder(model)
    if folder is not None:
        return _count_weights(folder) or estimate(read_json(folder / "config.json")) or read_name(model)
    return read_name(model)


def read_name(model: str) -> int | None:
    """The size that a model's name says: 7_000_000_000 for `Qwen2.5-Coder-7B-Instruct`."""
    found = _IN_NAME.search(Path(model).name)
    if found is None:
        return None
    times, number, unit = found.groups()
    return round(int(times or 1) * float(number) * (1e9 if unit in "Bb" else 1e6))


def estimate(config: Mapping[str, Any]) -> int | None:
    """Embeddings, attention and MLP of a decoder as config.json describes it; norms and biases are left out."""
    text = config.get("text_config")
    config = {**config, **text} if isinstance(text, dict) else config
    names = ("hidden_size", "num_hidden_layers", "vocab_size", "num_attention_heads", "intermediate_size")
    values = [config.get(name) for name in names]
    if not all(isinstance(value, int) and value > 0 for value in values):
        return None
    hidden, layers, vocabulary, heads, inner = [int(value) for value in values if value is not None]
    width = config.get("head_dim") or hidden // heads
    shared = config.get("num_key_value_heads") or heads
    attention = 2 * hidden * heads * width + 2 * hidden * shared * width
    experts = config.get("num_experts") or config.get("num_local_experts") or config.get("n_routed_experts") or 1
    mlp = experts * 3 * hidden * (config.get("moe_intermediate_size") or inner)
    embeddings = vocabulary * hidden * (1 if config.get("tie_word_embeddings") else 2)
    return int(embeddings + layers * (attention + mlp))


def _count_weights(folder: Path) -> int | None:
    """The parameters in the headers of the folder's safetensors files; None where not all files are there."""
    index = read_json(folder / "model.safetensors.index.json").get("weight_map")
    names = set(index.values()) if isinstance(index, dict) else {"model.safetensors"}
    total = 0
    for name in names:
        try:
            with (folder / str(name)).open("rb") as file:
                (length,) = struct.unpack("<Q", file.read(8))
                header = json.loads(file.read(min(length, _HEADER_BYTES)))
        except (OSError, ValueError, struct.error):
            return None
        total += sum(math.prod(each["shape"]) for key, each in header.items() if key != "__metadata__")
    return total or None
