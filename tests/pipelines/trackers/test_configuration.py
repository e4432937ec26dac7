"""The configuration that trackers show, and secrets that they do not."""

from __future__ import annotations

import io

import pytest

from pipelines.recipe.loading import load
from pipelines.trackers.configuration import flatten_stage
from pipelines.trackers.hiding import HidingStream, hide_secrets
from tests import ROOT


def test_a_stage_is_flat_and_complete() -> None:
    recipe = load(ROOT / "recipes/smoke.yaml").recipe
    for stage in recipe.stages:
        flat = flatten_stage(recipe, stage)
        assert flat["name"] == stage.name and flat["learning_rate"] == stage.learning_rate
        assert flat["recipe.name"] == "smoke" and flat["recipe.seed"] == recipe.seed
        assert all(isinstance(value, str | int | float | bool) for value in flat.values())
    assert flat["rollout.samples"] == recipe.stages[-1].model_dump()["rollout"]["samples"]


def test_secrets_of_upstream_keys_are_not_logged() -> None:
    recipe = load(ROOT / "recipes/smoke.yaml").recipe
    stage = recipe.stages[0].model_copy(
        update={"llamafactory": {"hf_hub_token": "abc", "max_new_tokens": 3, "a": [{"password": "abc"}], "b": {"auth": "abc"}}}
    )
    flat = flatten_stage(recipe, stage)
    assert "abc" not in str(flat)
    assert flat["llamafactory.max_new_tokens"] == 3


def test_secrets_are_hidden_in_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0123456789")
    monkeypatch.setenv("OTHER_TOKEN", "no")
    text = "key 0123456789 at https://user:pass@host/x and no more"
    assert hide_secrets(text) == "key (hidden) at https://(hidden)@host/x and no more"
    stream = io.StringIO()
    print("key 0123456789", file=HidingStream(stream))
    assert stream.getvalue() == "key (hidden)\n"
