"""A folder with a small valid recipe, which tests modify."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from pipelines.recipe.loading import load
from pipelines.recipe.nodes import Node, Origin
from pipelines.recipe.problems import RecipeError

RECIPE = """\
name: small
model: Qwen/Qwen2.5-Coder-7B-Instruct
stages:
  - name: sft
    kind: sft
    data:
      train: {converter: execverify_sft, source: data/sft.json}
      validation: {fraction: 0.02}
    epochs: 2
    learning_rate: 1e-5
    llamafactory: {warmup_ratio: 0.1}
  - name: rl
    kind: rl
    algorithm: grpo
    data:
      train: {converter: execverify_rl, source: data/rl.json}
      validation: {fraction: 0.02}
    reward: white_box
    steps: 4
    learning_rate: 1e-6
    batch: {prompts: 8, mini: 4}
    rollout: {samples: 8, max_prompt_tokens: 256, max_response_tokens: 256}
    verl: {actor_rollout_ref.rollout.enforce_eager: true}
"""

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a file into the current folder, which contains only the small recipe, `small.yaml`."""
    monkeypatch.chdir(tmp_path)

    def _write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
        return Path(name)

    _write("small.yaml", RECIPE)
    return _write


def problems(path: Path | str, *sets: str) -> list[str]:
    """Return the lines of the error for a recipe."""
    with pytest.raises(RecipeError) as caught:
        load(Path(path), sets)
    return str(caught.value).splitlines()


ORIGIN = Origin(Path(), "here:1", (0, 1))


def build(value: Any) -> Node:
    """Return plain data as nodes."""
    if isinstance(value, dict):
        return Node({key: build(child) for key, child in value.items()}, ORIGIN)
    return Node([build(item) for item in value] if isinstance(value, list) else value, ORIGIN)
