"""A model as its folder describes it: read from config.json, without any library that could load it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Description:
    """What a recipe has to fit. None: the folder does not say."""

    heads: int | None = None
    """Attention heads."""
    key_value_heads: int | None = None
    """Key and value heads, fewer where heads share them."""
    positions: int | None = None
    """Longest sequence, in tokens."""
    chat_template: bool | None = None
    """Whether the tokenizer has a chat template."""


def find_folder(model: str) -> Path | None:
    """The folder of a model that is on this machine: the folder itself, or a hub name's in the hub's cache.

    Looks at files only. The cache's layout is huggingface_hub's (`models--owner--name/snapshots/<commit>`).
    """
    path = Path(model)
    if path.is_absolute():
        return path if (path / "config.json").is_file() else None
    cached = hub_cache() / f"models--{model.replace('/', '--')}"
    try:
        commit = (cached / "refs" / "main").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    folder = cached / "snapshots" / commit
    return folder if commit and (folder / "config.json").is_file() else None


def hub_cache() -> Path:
    """Where huggingface_hub keeps what it fetched: HF_HUB_CACHE, else `hub` in HF_HOME, else in ~/.cache/huggingface."""
    if said := os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE"):
        return Path(said).expanduser()
    return hub_home() / "hub"


def hub_home() -> Path:
    """The folder of all that HuggingFace's libraries keep."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("HF_HOME") or f"{cache}/huggingface").expanduser()


def describe(folder: Path) -> Description:
    """What the folder says of its model; nothing of what it does not say, or says in another way."""
    config = read_json(folder / "config.json")
    text = config.get("text_config")
    config = config | text if isinstance(text, dict) else config
    heads = _count(config, "num_attention_heads")
    return Description(
        heads=heads,
        key_value_heads=_count(config, "num_key_value_heads") or heads,
        positions=None if _is_stretched(config) else _count(config, "max_position_embeddings"),
        chat_template=_has_chat_template(folder),
    )


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; empty when it is not there or is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _count(config: Mapping[str, Any], key: str) -> int | None:
    value = config.get(key)
    return value if isinstance(value, int) and value > 0 else None


def _is_stretched(config: Mapping[str, Any]) -> bool:
    """Whether rotary positions are scaled, so that max_position_embeddings may not be the whole truth."""
    scaling = config.get("rope_scaling") or config.get("rope_parameters") or {}
    kind = scaling.get("rope_type", scaling.get("type", "default")) if isinstance(scaling, dict) else ""
    return kind != "default"


def _has_chat_template(folder: Path) -> bool | None:
    if (folder / "chat_template.jinja").is_file() or (folder / "chat_template.json").is_file():
        return True
    config = folder / "tokenizer_config.json"
    return bool(read_json(config).get("chat_template")) if config.is_file() else None
