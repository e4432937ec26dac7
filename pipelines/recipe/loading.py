"""YAML files -> Recipe: extends, --set, defaults, environment variables, paths, and errors with file and line."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipelines.recipe import consistency, deepspeed, defaults, paths, set_option, upstream_keys, variables
from pipelines.recipe.error_messages import explain
from pipelines.recipe.finding import Files, find
from pipelines.recipe.nodes import Loc, Node, Step, name_of
from pipelines.recipe.problems import Problem, RecipeError, problem_at
from pipelines.recipe.schema import Recipe
from rewards.suggestions import suggestion


@dataclass(frozen=True)
class Loaded:
    """A recipe and where each of its values was written."""

    recipe: Recipe
    path: Path
    """The recipe file, absolute."""
    files: tuple[Path, ...]
    """All recipe files that were read: those that are extended first, `path` last."""
    root: Node

    def where(self, *loc: Step) -> str:
        """`file:line` (or `--set key`) of a value; of what is around it where it was not written.

        Stages by name or index: `where("stages", "sft", "learning_rate")`.
        """
        return self.root.nearest(loc).origin.text

    def text(self) -> str:
        """The recipe as resolved, YAML: one file with absolute paths that loads as the same recipe."""
        return dump(self.root.plain())


def load(path: Path, sets: Sequence[str] = ()) -> Loaded:
    """Reads a recipe.

    Args:
        path: the recipe file; a bare name that does not exist here is looked for among the shipped recipes.
        sets: `key=value` settings, applied in order over the file.

    Raises:
        RecipeError: everything that is wrong with it, one line each.
    """
    found = find(str(path), Path.cwd())
    files = Files()
    written = variables.substitute(upstream_keys.expand(set_option.apply_all(files.read(found), sets, Path.cwd())), os.environ)
    root = paths.resolve(defaults.lay_under(written))
    return examine(root, found, tuple(files.order), defaults.places(written))


def examine(root: Node, path: Path, files: tuple[Path, ...], shared: frozenset[tuple[int, int]] = frozenset()) -> Loaded:
    """The recipe that a tree holds, once nothing is wrong with it.

    Args:
        root: with absolute paths, without variables and defaults.
        path: the recipe file.
        files: all files that were read.
        shared: where what several stages share is written (`defaults.places`).

    Raises:
        RecipeError: everything that is wrong with it, one line each.
    """
    recipe, wrong = _validated(root)
    fits = consistency.check(recipe) if recipe is not None else ()
    wrong += [
        (loc, problem_at(root, loc, text))
        for loc, text in [*_inits(root), *upstream_keys.check(root), *deepspeed.check(root), *fits]
    ]
    if recipe is None or wrong:
        raise RecipeError(_in_order(wrong, root, shared))
    return Loaded(recipe, path, files, root)


def _in_order(wrong: list[tuple[Loc, Problem]], root: Node, shared: frozenset[tuple[int, int]]) -> Iterator[Problem]:
    """The problems in the order of the files; one that several stages share, once."""
    told = set()
    for loc, problem in sorted(wrong, key=lambda item: root.nearest(item[0]).origin.order):
        same = (problem.where, loc[2:], problem.message)
        if root.nearest(loc).origin.order in shared and same in told:
            continue
        told.add(same)
        yield problem


def _validated(root: Node) -> tuple[Recipe | None, list[tuple[Loc, Problem]]]:
    try:
        return Recipe.model_validate(root.plain()), []
    except ValidationError as error:
        return None, explain(error, root)


def _inits(root: Node) -> list[tuple[Loc, str]]:
    """`init_from` of a stage that does not exist, or that has not run by then."""
    stages = root.child("stages")
    names = [name_of(stage) for stage in stages.items] if stages is not None else []
    problems: list[tuple[Loc, str]] = []
    for index, stage in enumerate(stages.items if stages is not None else []):
        node = stage.children.get("init_from")
        value = node.value if node is not None else None
        if not isinstance(value, str) or "/" in value:
            continue
        before = [name for name in names[:index] if name]
        if value in before:
            continue
        loc: Loc = ("stages", index, "init_from")
        if value == names[index]:
            problems.append((loc, f"stage {value!r} cannot start from itself"))
        elif value in names:
            problems.append((loc, f"stage {value!r} comes later{_earlier(value, before)}"))
        else:
            problems.append((loc, f"there is no stage {value!r}{_earlier(value, before)}"))
    return problems


def _earlier(value: str, before: list[str]) -> str:
    otherwise = "a model folder (./model) or a hub name (owner/name)"
    return f"{suggestion(value, before)} or {otherwise}" if before else f"; expected {otherwise}"


def dump(value: Any) -> str:
    """Plain data as YAML 1.2, keys in their order."""
    from io import StringIO

    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    setattr(yaml, "sort_base_mapping_type_on_output", False)  # noqa: B010 - its type says None
    yaml.width = 120
    stream = StringIO()
    yaml.dump(value, stream)
    return stream.getvalue()
