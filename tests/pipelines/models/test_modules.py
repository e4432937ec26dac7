"""The modules of a model, from the names of its weights."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from pipelines.models.modules import matches, read_modules, short_names

WEIGHTS = ["model.layers.0.self_attn.q_proj.weight", "model.layers.0.mlp.up_proj.weight", "model.norm.weight"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text("{}")
    return tmp_path


def write_header(folder: Path) -> None:
    header = json.dumps({"__metadata__": {}, **{name: {"shape": [1]} for name in WEIGHTS}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)


def write_index(folder: Path) -> None:
    index = {"weight_map": dict.fromkeys(WEIGHTS, "model-1.safetensors")}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


@pytest.mark.parametrize("write", [write_header, write_index])
def test_names_from_a_header_or_an_index(write: object, folder: Path) -> None:
    assert callable(write)
    write(folder)
    found = read_modules(folder)
    assert short_names(found) == ["embed_tokens", "lm_head", "norm", "q_proj", "up_proj"]
    assert matches("q_proj", found)
    assert matches("self_attn.q_proj", found)
    assert not matches("proj", found)


def test_no_weights(folder: Path) -> None:
    assert read_modules(folder) == frozenset()
    (folder / "model.safetensors").write_bytes(b"broken")
    assert read_modules(folder) == frozenset()


@pytest.mark.parametrize("config", [{"num_experts": 8}, {"text_config": {"hidden_size": 1}}])
def test_models_whose_weights_are_renamed_when_loaded(config: object, folder: Path) -> None:
    write_header(folder)
    (folder / "config.json").write_text(json.dumps(config))
    assert read_modules(folder) == frozenset()
