"""Loading a recipe: files, --set, variables, defaults, paths, validation."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from pydantic import ValidationError

from pipelines.recipe import consistency, deepspeed, defaults, paths, set_option, upstream_keys, variables
from pipelines.recipe.error_messages import Located, to_problems
from pipelines.recipe.finding import RecipeReader, find_recipe
from pipelines.recipe.nodes import Loc, Node, Step
from pipelines.recipe.problems import Problem, RecipeError, problem_at
from pipelines.recipe.schema import Recipe
from rewards.suggestions import suggestion


@dataclass(frozen=True)
class Loaded:
    """A recipe and the origin of each of its values."""

    recipe: Recipe
    path: Path
    """The recipe file, absolute."""
    files: tuple[Path, ...]
    """All recipe files that were read, extended files first."""
    root: Node

    def where(self, *loc: Step) -> str:
        """Return `file:line` (or `--set key`) of a value, or of what is around it if it was not written.

        Stages are given by name or index: `where("stages", "sft", "learning_rate")`.
        """
        return self.root.nearest(loc).origin.text

    def text(self) -> str:
        """Return the resolved recipe as YAML: a single file with absolute paths that loads as the same recipe."""
        from ruamel.yaml import YAML

        yaml = YAML(typ="safe", pure=True)
        yaml.default_flow_style = False
        setattr(yaml, "sort_base_mapping_type_on_output", False)  # noqa: B010 - annotated as None
        yaml.width = 120
        stream = StringIO()
        yaml.dump(self.root.plain(), stream)
        return stream.getvalue()


def load(path: Path, sets: Sequence[str] = ()) -> Loaded:
    """Load a recipe.

    Args:
        path: the recipe file; a bare name that is not in the current folder is looked up among the shipped recipes.
        sets: `key=value` options, applied in order after all files.

    Raises:
        RecipeError: all mistakes, one line each.
    """
    found = find_recipe(str(path), Path.cwd())
    reader = RecipeReader()
    tree = set_option.apply_set_options(reader.read(found), sets, Path.cwd())
    tree = variables.substitute(upstream_keys.nest_keys(tree), os.environ)
    root = paths.resolve(defaults.apply_defaults(tree))
    return validate_tree(root, found, tuple(reader.files), defaults.default_origins(tree))


def validate_tree(root: Node, path: Path, files: tuple[Path, ...], shared: frozenset[tuple[int, int]] = frozenset()) -> Loaded:
    """Validate a tree and convert it into a recipe.

    Args:
        root: with absolute paths, without variables and defaults.
        path: the recipe file.
        files: all files that were read.
        shared: the origins of values that several stages share (`default_origins`).

    Raises:
        RecipeError: all mistakes, one line each.
    """
    recipe: Recipe | None = None
    located: list[Located] = []
    found = [*_check_init_from(root), *upstream_keys.check(root), *deepspeed.check(root)]
    try:
        recipe = Recipe.model_validate(root.plain())
        found += consistency.check(recipe)
    except ValidationError as error:
        located = to_problems(error, root)
    located += [(loc, problem_at(root, loc, message)) for loc, message in found]
    if recipe is None or located:
        raise RecipeError(_sort_problems(located, root, shared))
    return Loaded(recipe, path, files, root)


def _sort_problems(located: list[Located], root: Node, shared: frozenset[tuple[int, int]]) -> Iterator[Problem]:
    """Sort problems by their place in the files; drop repetitions of problems in shared values."""
    seen = set()
    for loc, problem in sorted(located, key=lambda item: root.nearest(item[0]).origin.order):
        same = (problem.where, loc[2:], problem.message)
        if same not in seen or root.nearest(loc).origin.order not in shared:
            yield problem
        seen.add(same)


def _check_init_from(root: Node) -> Iterator[tuple[Loc, str]]:
    """Find `init_from` of an unknown or later stage."""
    names = [stage.name for stage in root.stages]
    for index, stage in enumerate(root.stages):
        value, earlier = stage.text("init_from"), [name for name in names[:index] if name]
        if value is None or "/" in value or value in earlier:
            continue
        hint = f"{suggestion(value, earlier)} or" if earlier else "; expected"
        hint = f"{hint} a model folder (./model) or a hub name (owner/name)"
        if value == names[index]:
            message = f"stage {value!r} cannot start from itself"
        elif value in names:
            message = f"stage {value!r} comes later{hint}"
        else:
            message = f"stage {value!r} not found{hint}"
        yield ("stages", index, "init_from"), message
