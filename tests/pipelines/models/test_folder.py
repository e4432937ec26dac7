"""Model folders and the hub cache."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.models.folder import find_model_folder, is_cached, read_model_info


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model with 14 attention heads, 2 key and value heads and no chat template."""
    path = tmp_path / "model"
    path.mkdir()
    (path / "config.json").write_text(json.dumps({"num_attention_heads": 14, "num_key_value_heads": 2}))
    (path / "tokenizer_config.json").write_text("{}")
    return path


def test_hub_name_is_found_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    assert find_model_folder("owner/name") is None
    cached = tmp_path / "hub" / "models--owner--name"
    (cached / "refs").mkdir(parents=True)
    (cached / "refs" / "main").write_text("abc")
    assert find_model_folder("owner/name") is None
    (cached / "snapshots").mkdir()
    (cached / "snapshots" / "abc").symlink_to(folder)
    found = find_model_folder("owner/name")
    assert found is not None
    assert read_model_info(found).heads == 14


def test_sharded_model_is_cached_when_every_shard_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "1.safetensors", "b": "2.safetensors"}}')
    (folder / "1.safetensors").touch()
    assert not is_cached("models", str(folder))
    (folder / "2.safetensors").touch()
    assert is_cached("models", str(folder))


@pytest.mark.parametrize(
    ("config", "positions"),
    [
        ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}, None),
        ({"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}, 512),
        ({"text_config": {"max_position_embeddings": 64}}, 64),
        ({"max_position_embeddings": None}, None),
    ],
)
def test_positions_are_unknown_with_rope_scaling(folder: Path, config: dict[str, Any], positions: int | None) -> None:
    (folder / "config.json").write_text(json.dumps({"max_position_embeddings": 512} | config))
    assert read_model_info(folder).positions == positions
