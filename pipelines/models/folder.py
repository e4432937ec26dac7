"""Model folders and the Hugging Face cache, read as files: nothing here imports transformers."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class ModelInfo:
    """The properties of a model that a recipe has to match. None: the folder does not specify it."""

    heads: int | None = None
    """Attention heads."""
    key_value_heads: int | None = None
    """Key and value heads; fewer than `heads` with grouped-query attention."""
    positions: int | None = None
    """Longest sequence, in tokens."""
    chat_template: bool | None = None
    """Whether the tokenizer has a chat template."""


def find_model_folder(model: str, revision: str | None = None) -> Path | None:
    """Return a model's folder on this machine: the given folder, or the snapshot of a hub name in the hub cache.

    The cache layout is huggingface_hub's (`models--owner--name/snapshots/<commit>`).

    Args:
        model: a folder or a hub name.
        revision: a branch, tag or commit of a hub name; default: main.
    """
    path = Path(model)
    if path.is_absolute():
        return path if (path / "config.json").is_file() else None
    cached = hub_cache() / f"models--{model.replace('/', '--')}"
    try:
        commit = (cached / "refs" / (revision or "main")).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        commit = revision or ""  # a commit has no file in refs
    folder = cached / "snapshots" / commit
    return folder if commit and (folder / "config.json").is_file() else None


def hub_home() -> Path:
    """Return the folder where the Hugging Face libraries keep their files."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("HF_HOME") or f"{cache}/huggingface").expanduser()


def hub_cache() -> Path:
    """Return the download cache of huggingface_hub."""
    explicit = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    return Path(explicit).expanduser() if explicit else hub_home() / "hub"


def hub_endpoint() -> str:
    """Return the address of the hub."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def is_hub_offline() -> bool:
    """Return whether the Hugging Face libraries are set to offline mode (huggingface_hub, constants.py)."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def is_cached(kind: str, name: str, revision: str | None = None) -> bool:
    """Return whether the hub cache holds all weights of a model, or any file of a data set.

    Args:
        kind: `models` or `datasets`.
        name: its hub name.
        revision: a branch, tag or commit of a model; default: main.
    """
    if kind == "models":
        folder = find_model_folder(name, revision)
        return folder is not None and (
            all((folder / file).is_file() for file in weight_files(folder)) or any(folder.glob("pytorch_model*.bin"))
        )
    converted = Path(os.environ.get("HF_DATASETS_CACHE") or hub_home() / "datasets") / name.replace("/", "___")
    return converted.is_dir() or any((hub_cache() / f"datasets--{name.replace('/', '--')}" / "snapshots").glob("*/*"))


def weight_files(folder: Path) -> set[str]:
    """Return the names of the safetensors files that the folder should contain."""
    index = read_json_object(folder / "model.safetensors.index.json").get("weight_map")
    return set(map(str, index.values())) if isinstance(index, dict) else {"model.safetensors"}


def read_model_info(folder: Path) -> ModelInfo:
    """Read config.json and the tokenizer's files of a model folder."""
    config = flatten_text_config(read_json_object(folder / "config.json"))
    heads = _positive_int(config, "num_attention_heads")
    return ModelInfo(
        heads=heads,
        key_value_heads=_positive_int(config, "num_key_value_heads") or heads,
        positions=None if _has_rope_scaling(config) else _positive_int(config, "max_position_embeddings"),
        chat_template=_has_chat_template(folder),
    )


def flatten_text_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config.json with the keys of its `text_config` (multimodal models) at the top level."""
    text = config.get("text_config")
    return {**config, **text} if isinstance(text, dict) else dict(config)


def read_json_object(path: Path) -> dict[str, Any]:
    """Read a JSON object; return an empty one if the file is missing or does not hold an object."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _positive_int(config: Mapping[str, Any], key: str) -> int | None:
    value = config.get(key)
    return value if isinstance(value, int) and value > 0 else None


def _has_rope_scaling(config: Mapping[str, Any]) -> bool:
    """Return whether rotary positions are scaled, so that max_position_embeddings may not be the limit."""
    scaling = config.get("rope_scaling") or config.get("rope_parameters") or {}
    kind = scaling.get("rope_type", scaling.get("type", "default")) if isinstance(scaling, dict) else ""
    return kind != "default"


def _has_chat_template(folder: Path) -> bool | None:
    if (folder / "chat_template.jinja").is_file() or (folder / "chat_template.json").is_file():
        return True
    config = folder / "tokenizer_config.json"
    return bool(read_json_object(config).get("chat_template")) if config.is_file() else None
