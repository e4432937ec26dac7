"""Sizes of models, from config.json or their names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.estimates.shapes import read_shape, shape_of
from pipelines.recipe.schema import TinyModel

# Parameters as the model cards state them, in billions.
STATED = {
    "Qwen/Qwen2.5-0.5B-Instruct": 0.49,
    "Qwen/Qwen2.5-Coder-1.5B": 1.54,
    "Qwen/Qwen2.5-3B-Instruct": 3.09,
    "Qwen/Qwen2.5-Coder-7B-Instruct": 7.61,
    "Qwen/Qwen2.5-14B": 14.7,
    "Qwen/Qwen2.5-32B": 32.5,
    "Qwen/Qwen2.5-72B-Instruct": 72.7,
    "Qwen/Qwen3-0.6B": 0.6,
    "Qwen/Qwen3-1.7B": 1.7,
    "Qwen/Qwen3-4B": 4.0,
    "Qwen/Qwen3-8B": 8.2,
    "Qwen/Qwen3-14B": 14.8,
    "Qwen/Qwen3-32B": 32.8,
    "meta-llama/Llama-2-7b-hf": 6.74,
    "meta-llama/Llama-2-13b-chat-hf": 13.0,
    "meta-llama/Llama-2-70b-hf": 69.0,
    "meta-llama/Llama-3.2-1B": 1.23,
    "meta-llama/Llama-3.2-3B": 3.21,
    "meta-llama/Llama-3.1-8B-Instruct": 8.03,
    "meta-llama/Meta-Llama-3-70B": 70.6,
}


@pytest.fixture(autouse=True)
def _empty_hub_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "empty"))


@pytest.mark.parametrize("name", STATED)
def test_published_sizes_have_the_stated_parameters(name: str) -> None:
    shape = read_shape(name)
    assert shape is not None
    assert shape.parameters / 1e9 == pytest.approx(STATED[name], rel=0.02)


@pytest.mark.parametrize(
    "name", ["owner/model", "Qwen/Qwen2.5-9B", "Qwen/Qwen3.5-4B", "mistralai/Mistral-7B-v0.3", "a/qwen2.7-7b"]
)
def test_other_names_are_unknown(name: str) -> None:
    assert read_shape(name) is None


def test_a_folder_is_read_instead_of_its_name(tmp_path: Path) -> None:
    folder = tmp_path / "Qwen2.5-7B"
    folder.mkdir()
    config = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 10}
    (folder / "config.json").write_text(json.dumps(config))
    shape = read_shape(str(folder))
    assert shape is not None
    # Embeddings twice; queries, keys, values and output; three matrices of the MLP; two norms, and the last.
    assert shape.parameters == 2 * 10 * 8 + 4 * 8 * 8 + 3 * 8 * 16 + 2 * 8 + 8


def test_a_token_passes_some_experts_of_a_mixture() -> None:
    config = {"hidden_size": 8, "intermediate_size": 99, "moe_intermediate_size": 4, "num_hidden_layers": 2, "vocab_size": 10}
    shape = shape_of(config | {"num_attention_heads": 2, "num_experts": 8, "num_experts_per_tok": 2})
    assert shape is not None
    assert shape.parameters - shape.active_parameters == 2 * 6 * 3 * 8 * 4


def test_a_tiny_model_needs_no_files() -> None:
    shape = read_shape(TinyModel(make="qwen2", vocabulary=1024, hidden_size=64, layers=2, heads=2))
    assert shape is not None and shape.parameters == 2 * 1024 * 64 + 2 * (4 * 64 * 64 + 3 * 64 * 192 + 128) + 64


def test_a_config_of_another_kind_has_no_shape() -> None:
    assert shape_of({"hidden_size": "large"}) is None
