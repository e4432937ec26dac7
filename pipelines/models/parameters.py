"""The number of parameters of a model, without loading it."""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.models.folder import find_model_folder, flatten_text_config, read_json_object, weight_files

# `7B`, `0.5b`, `8x7B`, `350M`, as a separate word in a model's name.
_SIZE_IN_NAME = re.compile(r"(?<![A-Za-z0-9.])(?:(\d+)x)?(\d+(?:\.\d+)?)([BbMm])(?![A-Za-z0-9])")
_MAX_HEADER_BYTES = 100_000_000


def count_parameters(model: str, revision: str | None = None) -> int | None:
    """Count the parameters of a model folder or hub name, at a revision; return None if unknown.

    A model on this machine is counted by the headers of its weight files, or estimated from its config.json; any other model
    by the size in its name.
    """
    folder = find_model_folder(model, revision)
    if folder is None:
        return parse_size(model)
    return _count_weights(folder) or estimate_parameters(read_json_object(folder / "config.json")) or parse_size(model)


def count_tiny_parameters(vocabulary: int, hidden_size: int, layers: int, heads: int) -> int | None:
    """Estimate the parameters of a tiny model (`pipelines.models.tiny`)."""
    width = {"hidden_size": hidden_size, "intermediate_size": 3 * hidden_size}
    return estimate_parameters({"vocab_size": vocabulary, "num_hidden_layers": layers, "num_attention_heads": heads, **width})


def parse_size(name: str) -> int | None:
    """Return the number of parameters in a model's name: 7_000_000_000 for `Qwen2.5-Coder-7B-Instruct`."""
    found = _SIZE_IN_NAME.search(Path(name).name)
    if found is None:
        return None
    experts, number, unit = found.groups()
    return round(int(experts or 1) * float(number) * (1e9 if unit in "Bb" else 1e6))


def estimate_parameters(config: Mapping[str, Any]) -> int | None:
    """Estimate the parameters of a decoder from its config.json: embeddings, attention and MLP, without norms and biases."""
    config = flatten_text_config(config)
    names = ("hidden_size", "num_hidden_layers", "vocab_size", "num_attention_heads", "intermediate_size")
    values = [config.get(name) for name in names]
    if not all(isinstance(value, int) and value > 0 for value in values):
        return None
    hidden, layers, vocabulary, heads, inner = [int(value) for value in values if value is not None]
    width = config.get("head_dim") or hidden // heads
    key_value_heads = config.get("num_key_value_heads") or heads
    attention = 2 * hidden * heads * width + 2 * hidden * key_value_heads * width
    experts = config.get("num_experts") or config.get("num_local_experts") or config.get("n_routed_experts") or 1
    mlp = experts * 3 * hidden * (config.get("moe_intermediate_size") or inner)
    embeddings = vocabulary * hidden * (1 if config.get("tie_word_embeddings") else 2)
    return int(embeddings + layers * (attention + mlp))


def _count_weights(folder: Path) -> int | None:
    """Sum the sizes in the headers of the safetensors files; return None if a file is missing."""
    total = 0
    for name in weight_files(folder):
        try:
            with (folder / name).open("rb") as file:
                (length,) = struct.unpack("<Q", file.read(8))
                header = json.loads(file.read(min(length, _MAX_HEADER_BYTES)))
        except (OSError, ValueError, struct.error):
            return None
        total += sum(math.prod(tensor["shape"]) for key, tensor in header.items() if key != "__metadata__")
    return total or None
