"""`run.json`: what a run consists of, of this version, of earlier and of later ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipelines.errors import InputError
from pipelines.records.manifest import VERSION, find_manifest, read_manifest, read_recipe
from pipelines.records.runs import open_run
from tests.pipelines.records.making import make_old, make_run


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    run = make_run(tmp_path / "mine")
    assert read_manifest(tmp_path / "mine") == run.manifest
    assert run.manifest.command == ["pipeline", "run", "mine.yaml"]


def test_fields_of_later_versions_are_skipped(tmp_path: Path) -> None:
    path = make_run(tmp_path / "mine").directory / "run.json"
    found = json.loads(path.read_text())
    path.write_text(json.dumps(found | {"cluster": "a", "stages": [{**each, "gpus": 8} for each in found["stages"]]}))
    manifest = read_manifest(tmp_path / "mine")
    assert manifest is not None and [each.name for each in manifest.stages] == ["sft", "rl"]


def test_a_later_layout_is_refused(tmp_path: Path) -> None:
    path = make_run(tmp_path / "mine").directory / "run.json"
    path.write_text(json.dumps({"version": VERSION + 1, "project": "9.0", "chapters": []}))
    with pytest.raises(InputError) as raised:
        open_run(tmp_path / "mine")
    text = f"{tmp_path}/mine is a run of a later version 9.0 (layout {VERSION + 1}); this one, "
    assert str(raised.value).startswith(text) and str(raised.value).endswith(f"reads layouts up to {VERSION}")


@pytest.mark.parametrize("text", ["", "[]", '{"version": 1, "name": "mi', '{"version": 1, "name": 3}', "\xff"])
def test_a_damaged_manifest_is_found_by_recipe_and_folders(tmp_path: Path, text: str) -> None:
    make_run(tmp_path / "mine")
    (tmp_path / "mine" / "run.json").write_text(text, encoding="latin-1")
    assert [each.name for each in open_run(tmp_path / "mine").stages] == ["sft", "rl"]


def test_a_run_of_version_0_2(tmp_path: Path) -> None:
    manifest = find_manifest(make_old(make_run(tmp_path / "mine").directory))
    assert (manifest.name, manifest.project, manifest.command) == ("mine", "", [])
    assert [(each.name, each.kind, each.trainer, each.algorithm, each.steps) for each in manifest.stages] == [
        ("sft", "sft", "llamafactory", None, 450),
        ("rl", "rl", "verl", "grpo", 4),
    ]
    names = [each.name for each in manifest.steps]
    assert names == [
        *("sft/prepare", "rl/prepare", "prompts", "sft/train", "sft/handover"),
        *("rl/train", "rl/export", "rl/handover"),
    ]


def test_recipes_are_read_as_they_are_written(tmp_path: Path) -> None:
    """The C parser reads YAML 1.1, in which `1e-05` is text and `on` is true."""
    values = {"rate": 1e-5, "name": "on", "text": "1e-05", "no": "no", "yes": True, "none": None, "n": -3, "inf": float("inf")}
    yaml = YAML(typ="safe", pure=True)
    with (tmp_path / "recipe.yaml").open("w") as file:
        yaml.dump(values | {"at": "12:30:00", "day": "2026-11-28", "empty": "", "list": [1.5, "0x1f"]}, file)
    found = read_recipe(tmp_path)
    assert found == YAML(typ="safe", pure=True).load((tmp_path / "recipe.yaml").read_text())


def test_a_run_whose_recipe_is_damaged_has_its_folders(tmp_path: Path) -> None:
    directory = make_old(make_run(tmp_path / "mine").directory)
    (directory / "recipe.yaml").write_text("stages: [")
    assert {each.name for each in find_manifest(directory).stages} == {"sft", "rl"}
