"""The modules of a model, by the names of its weights: a folder's files are read, nothing is imported."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable
from pathlib import Path

from pipelines.models.folder import flatten_text_config, read_json_object

_MAX_HEADER_BYTES = 100_000_000
_ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
_MLP = ("gate_proj", "up_proj", "down_proj")
_ALWAYS = ("lm_head", "model.embed_tokens")  # tied weights are stored once

TINY = frozenset(
    [*_ALWAYS, *(f"model.layers.0.self_attn.{name}" for name in _ATTENTION), *(f"model.layers.0.mlp.{name}" for name in _MLP)]
)
"""The modules of a tiny model."""


def read_modules(folder: Path) -> frozenset[str]:
    """Return the dotted names of a model's modules with weights; empty if its weights are not there, or are stored differently.

    transformers joins the weights of experts, and renames those of some models for images.
    """
    config = read_json_object(folder / "config.json")
    flat = flatten_text_config(config)
    if flat.keys() & {"num_experts", "num_local_experts", "n_routed_experts"} or "text_config" in config:
        return frozenset()
    index = read_json_object(folder / "model.safetensors.index.json").get("weight_map")
    names = list(index) if isinstance(index, dict) else _read_header(folder / "model.safetensors")
    return frozenset([*_ALWAYS, *(name.rpartition(".")[0] for name in names)]) if names else frozenset()


def _read_header(file: Path) -> list[str]:
    try:
        with file.open("rb") as opened:
            (length,) = struct.unpack("<Q", opened.read(8))
            header = json.loads(opened.read(min(length, _MAX_HEADER_BYTES)))
    except (OSError, ValueError, struct.error):
        return []
    return [name for name in header if name != "__metadata__"] if isinstance(header, dict) else []


def matches(target: str, modules: Iterable[str]) -> bool:
    """Return whether a target is a module's name or the end of one, as peft compares them."""
    return any(module == target or module.endswith(f".{target}") for module in modules)


def short_names(modules: Iterable[str]) -> list[str]:
    """Return the last names of modules."""
    return sorted({module.rpartition(".")[2] for module in modules})
