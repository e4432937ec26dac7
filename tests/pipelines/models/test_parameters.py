"""Parameter counts from weight headers, config.json or the model's name."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest

from pipelines.models.parameters import count_parameters, count_tiny_parameters, estimate_parameters, parse_size

# config.json of Qwen2.5-Coder-7B-Instruct, which has 7,615,616,512 parameters.
QWEN = {
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_attention_heads": 28,
    "num_hidden_layers": 28,
    "num_key_value_heads": 4,
    "tie_word_embeddings": False,
    "vocab_size": 152064,
}


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("Qwen/Qwen2.5-Coder-7B-Instruct", 7_000_000_000),
        ("Qwen/Qwen2.5-0.5B", 500_000_000),
        ("/models/qwen2.5-3b", 3_000_000_000),
        ("mistralai/Mixtral-8x7B-v0.1", 56_000_000_000),
        ("HuggingFaceTB/SmolLM2-135M", 135_000_000),
        ("owner/name", None),
        ("owner/v2.5B1", None),
    ],
)
def test_size_from_the_name(name: str, count: int | None) -> None:
    assert parse_size(name) == count
    assert count_parameters(name) == count


def test_estimate_from_config() -> None:
    assert estimate_parameters(QWEN) == pytest.approx(7_615_616_512, rel=1e-3)
    assert estimate_parameters(QWEN | {"tie_word_embeddings": True}) == pytest.approx(7_615_616_512 - 152064 * 3584, rel=1e-3)
    assert estimate_parameters({"text_config": QWEN}) == estimate_parameters(QWEN)
    assert estimate_parameters({"hidden_size": 3584}) is None


def test_count_from_weight_headers(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(QWEN))
    assert count_parameters(str(tmp_path)) == estimate_parameters(QWEN)
    _write(tmp_path / "model.safetensors", {"a": [3, 5], "b": [7]})
    assert count_parameters(str(tmp_path)) == 22
    index = {"weight_map": {"a": "model-1.safetensors", "c": "model-2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    _write(tmp_path / "model-1.safetensors", {"a": [3, 5]})
    assert count_parameters(str(tmp_path)) == estimate_parameters(QWEN)  # a file is missing
    _write(tmp_path / "model-2.safetensors", {"c": [2, 2]})
    assert count_parameters(str(tmp_path)) == 19


def test_count_of_a_tiny_model() -> None:
    # 2 x 300 x 64 embeddings, and a layer of 4 x 64 x 64 and 3 x 64 x 192.
    assert count_tiny_parameters(vocabulary=300, hidden_size=64, layers=1, heads=2) == 91_648


def _write(path: Path, shapes: dict[str, list[int]]) -> None:
    header = json.dumps(
        {key: {"dtype": "F32", "shape": shape} for key, shape in shapes.items()} | {"__metadata__": {}}
    ).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)
