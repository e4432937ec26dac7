"""Paths and hub names."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.recipe.loading import load
from pipelines.recipe.paths import is_path
from pipelines.recipe.schema import RlStage, SftStage
from preprocess.config import Source

from .conftest import RECIPE, Write


@pytest.mark.parametrize(
    "text",
    [
        "data/sft.json",
        "rows.parquet",
        "./model",
        "../model",
        "/models/qwen",
        "~/models/qwen",
        ".",
        "a/b/c",
        "exists",
        "a b",
    ],
)
def test_path(text: str, tmp_path: Path) -> None:
    (tmp_path / "exists").mkdir()
    assert is_path(text, tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        *("Qwen/Qwen2.5-Coder-7B-Instruct", "PRIME-RL/Eurus-2-RL-Data", "gpt2", "codeparrot/apps", "s3://bucket/a.json"),
        *("openai/gsm8k:main", "openai/gsm8k:main@train[:100]", "PRIME-RL/Eurus-2-RL-Data@train"),
    ],
)
def test_hub_name(text: str, tmp_path: Path) -> None:
    assert not is_path(text, tmp_path)


def sources(path: Path, *sets: str) -> list[str]:
    return [stage.data.train.source for stage in load(path, sets).recipe.stages if isinstance(stage.data.train, Source)]


def test_paths_are_relative_to_their_file(write: Write, tmp_path: Path) -> None:
    write("base/base.yaml", RECIPE)
    path = write("mine/x.yaml", "extends: ../base/base.yaml\nstages: [{name: rl, data: {train: {source: ../rl.json}}}]\n")
    assert sources(path) == [str(tmp_path / "base/data/sft.json"), str(tmp_path / "rl.json")]
    assert sources(path, "stages.sft.data.train.source=here.json")[0] == str(tmp_path / "here.json")


def test_models_stages_and_environments(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/user")
    (tmp_path / "sft").mkdir()
    path = write("x.yaml", "extends: small.yaml\nmodel: ./model\nenvironments: {verl: ~/env/bin/python}\n")
    recipe = load(path, ["stages.rl.init_from=sft"]).recipe
    sft, rl = recipe.stages
    assert isinstance(sft, SftStage)
    assert isinstance(rl, RlStage)
    assert recipe.model == str(tmp_path / "model")
    assert recipe.environments.verl == "/home/user/env/bin/python"
    assert rl.init_from == "sft", "a stage's name takes precedence over a folder"
    assert load(path, ["stages.rl.init_from=./sft"]).recipe.stages[1].init_from == str(tmp_path / "sft")
    assert load(path, ["stages.rl.init_from=owner/name"]).recipe.stages[1].init_from == "owner/name"


def test_every_source_of_a_list_is_resolved(write: Write, tmp_path: Path) -> None:
    path = write(
        "x.yaml",
        RECIPE.replace(
            "train: {converter: execverify_sft, source: data/sft.json}",
            "train: [{converter: a, source: a.json}, {converter: b, source: b/c}]",
        ),
    )
    train = load(path).recipe.stages[0].data.train
    assert [source.source for source in train] == [str(tmp_path / "a.json"), "b/c"]  # type: ignore[union-attr]
