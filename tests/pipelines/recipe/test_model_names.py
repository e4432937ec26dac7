"""A model called by a name without an owner is reported with the nearest model."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.recipe.loading import load

from .conftest import Write


@pytest.fixture(autouse=True)
def _hub_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("models--gpt2", "models--owner--wizard-1b"):
        (tmp_path / "hub" / name).mkdir(parents=True)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("Qwen2.5-0.5B", "; did you mean 'Qwen/Qwen2.5-0.5B'?"),
        ("wizard-1b", "; did you mean 'owner/wizard-1b'?"),
        ("my-modle", "; did you mean './my-model'?"),
        ("abcdef", "; expected a folder or owner/name"),
        ("{make: llama, like: Llama-3.2-1B}", "; did you mean 'meta-llama/Llama-3.2-1B'?"),
    ],
)
def test_names_without_an_owner(write: Write, model: str, expected: str) -> None:
    write("my-model/config.json", "{}")
    path = write("x.yaml", f"extends: small.yaml\nmodel: {model}\n")
    (line,) = load(path).unusual()
    assert line.startswith("x.yaml:2: model")
    assert f"{Path.cwd()}/" in line and "does not exist, so it is the name of a model on the hub without an owner" in line
    assert line.endswith(expected)


@pytest.mark.parametrize("model", ["owner/name", "gpt2", "my-model", "./my-model", "/models/x"])
def test_other_models(write: Write, model: str) -> None:
    write("my-model/config.json", "{}")
    assert load(write("x.yaml", f"extends: small.yaml\nmodel: {model}\n")).unusual() == []
