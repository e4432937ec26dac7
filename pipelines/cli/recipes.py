"""`pipeline recipes`: the recipes and evaluation sets that ship, described by their own files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from pipelines.console import tables
from pipelines.evaluation.sets import EvaluationSet, list_sets
from pipelines.recipe.finding import read_recipe
from pipelines.recipe.nodes import Node
from pipelines.shipped import find_recipes

_VARIABLE = re.compile(r"\$\{env:(\w+)(?::[^}]*)?\}")


class ShippedStage(msgspec.Struct, frozen=True, kw_only=True):
    """A stage of a recipe."""

    name: str
    kind: str
    trainer: str
    algorithm: str | None = None


class ShippedRecipe(msgspec.Struct, frozen=True, kw_only=True):
    """A recipe that ships."""

    name: str
    """Its file, as commands take it."""
    about: str
    """The first sentence of its header."""
    model: str
    """A hub name, or `tiny` for one that the run makes."""
    hardware: str
    """Such as `8 GPUs`."""
    gpus: int
    """GPUs that its settings are for; 0: none are needed."""
    stages: list[ShippedStage]
    data: list[str]
    """Files and hub names of its rows; `$NAME` is a variable with a folder, `included` are rows that ship."""
    path: str


class ShippedSet(msgspec.Struct, frozen=True, kw_only=True):
    """An evaluation set that ships."""

    name: str
    about: str
    source: str
    here: bool
    """Whether its source is on this machine."""


class Shipped(msgspec.Struct, frozen=True, kw_only=True):
    """What `pipeline recipes --json` prints."""

    version: int = 1
    recipes: list[ShippedRecipe]
    evaluation_sets: list[ShippedSet]


def print_recipes(*, as_json: bool) -> None:
    """Print all recipes and evaluation sets."""
    shipped = Shipped(
        recipes=[describe_recipe(path) for path in sorted(find_recipes(Path.cwd()).glob("*.yaml"))],
        evaluation_sets=[_describe_set(each) for each in list_sets()],
    )
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(shipped), indent=1).decode())
        return
    lines = [(each.name, each.about, each.hardware, ", ".join(each.data)) for each in shipped.recipes]
    tables.print_rows(("recipe", "what it does", "hardware", "data"), lines)
    print(flush=True)
    sets = [(each.name, each.about, each.source + ("" if each.here else " (not here)")) for each in shipped.evaluation_sets]
    tables.print_rows(("evaluation set", "what it does", "data"), sets)
    tables.say("next: pipeline init NAME --from RECIPE, or pipeline run smoke.yaml")


def describe_recipe(path: Path) -> ShippedRecipe:
    """Return what a recipe file says of itself."""
    root = read_recipe(path)
    model, hardware = root.child("model"), _plain(root.child("hardware"))
    tiny = model is not None and bool(model.children)
    gpus = 0 if tiny else int(hardware.get("nodes", 1)) * int(hardware.get("gpus_per_node", 1))
    return ShippedRecipe(
        name=path.name,
        about=first_sentence(path),
        model="tiny" if tiny or model is None else str(model.value),
        hardware=f"{gpus} GPUs" if gpus else "2 CPU cores",
        gpus=gpus,
        stages=[
            ShippedStage(
                name=stage.name or "",
                kind=stage.text("kind") or "",
                trainer=stage.text("trainer") or ("verl" if stage.text("kind") == "rl" else "llamafactory"),
                algorithm=stage.text("algorithm") or _default(root, stage, "algorithm"),
            )
            for stage in root.stages
        ],
        data=list(dict.fromkeys(_sources(root, path.parent))),
        path=str(path),
    )


def first_sentence(path: Path) -> str:
    """Return the first sentence of a recipe's header: the comment before its first key."""
    words: list[str] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        text = line.removeprefix("#").strip()
        if not text and words:
            break
        if not text.startswith("yaml-language-server"):
            words += text.split()
    return re.split(r"(?<=[^.])\.(?:\s|$)", " ".join(words))[0].rstrip(".")


def _sources(root: Node, folder: Path) -> Iterator[str]:
    """Yield where the rows of all stages come from."""
    for stage in root.stages:
        data = stage.child("data")
        for key, node in data.walk() if data is not None else ():
            if not key or key[-1] != "source" or not isinstance(node.value, str):
                continue
            if _VARIABLE.search(node.value):
                yield _VARIABLE.sub(r"$\1", node.value)
            else:
                yield "included" if (folder / node.value).exists() else node.value.partition("@")[0].partition(":")[0]


def _default(root: Node, stage: Node, key: str) -> str | None:
    defaults = root.child("defaults")
    common = defaults.child(stage.text("kind") or "") if defaults is not None else None
    return common.text(key) if common is not None else None


def _plain(node: Node | None) -> dict[str, Any]:
    found = node.plain() if node is not None else {}
    return found if isinstance(found, dict) else {}


def _describe_set(each: EvaluationSet) -> ShippedSet:
    source = Path(each.data.source)
    return ShippedSet(
        name=each.name,
        about=each.description,
        source=source.name if source.is_absolute() else each.data.source,
        here=source.exists(),
    )
