"""Loading a recipe: files, --set, variables, defaults, paths, validation."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from itertools import islice
from pathlib import Path

from pydantic import ValidationError

from pipelines.errors import SettingError
from pipelines.recipe import consistency, deepspeed, model_names, paths, plausibility, teaching, upstream_keys, variables
from pipelines.recipe.defaults import apply_defaults
from pipelines.recipe.error_messages import explain
from pipelines.recipe.finding import find_recipe, read_recipe
from pipelines.recipe.nodes import Loc, Node, Step
from pipelines.recipe.problems import SHOWN, Problem, RecipeError, problem_at
from pipelines.recipe.schema import Recipe
from pipelines.recipe.set_option import apply_set_options
from rewards.suggestions import suggestion


@dataclass(frozen=True)
class Loaded:
    """A recipe and the origin of each of its values."""

    recipe: Recipe
    path: Path
    """The recipe file, absolute."""
    root: Node

    def where(self, *loc: Step) -> str:
        """Return `file:line` (or `--set key`) of a value, or of what is around it if it was not written.

        Stages are given by name or index: `where("stages", "sft", "learning_rate")`.
        """
        return self.root.nearest(loc).origin.text

    @contextmanager
    def locating(self) -> Iterator[None]:
        """Add the place in the recipe's files to the errors of rendering it."""
        try:
            yield
        except SettingError as error:
            raise RecipeError([problem_at(self.root, error.loc, error.message)]) from None

    def unusual(self) -> list[str]:
        """Return what is possible and unusual, one line each."""
        found = [
            *plausibility.find_unusual(self.recipe),
            *teaching.find_doubtful(self.recipe),
            *model_names.find_ownerless(self.root),
        ]
        return [str(problem) for problem in _sort_problems(found, self.root)]

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
    tree = apply_set_options(read_recipe(found), sets, Path.cwd())
    tree = variables.substitute(upstream_keys.nest_keys(tree), os.environ)
    return validate_tree(paths.resolve(apply_defaults(tree)), found)


def validate_tree(root: Node, path: Path) -> Loaded:
    """Validate a tree and convert it into a recipe.

    Args:
        root: with absolute paths, without variables and defaults.
        path: the recipe file.

    Raises:
        RecipeError: all mistakes, one line each.
    """
    # One more than are shown: finding the nearest name of many takes long.
    found = [*_check_init_from(root), *islice(upstream_keys.check(root), SHOWN + 1), *deepspeed.check(root)]
    try:
        recipe = Recipe.model_validate(root.plain())
        found += consistency.check(recipe)
    except ValidationError as error:
        found = [*explain(error, root), *found]
    if found:
        raise RecipeError(_sort_problems(found, root))
    return Loaded(recipe, path, root)


def _sort_problems(found: list[tuple[Loc, str]], root: Node) -> Iterator[Problem]:
    """Sort problems by their place in the files; a mistake in `defaults` is reported once, not for every stage."""
    seen = set()
    for loc, message in sorted(found, key=lambda item: root.nearest(item[0]).origin.order):
        origin = root.nearest(loc).origin
        same = (origin, loc[2:] if loc[:1] == ("stages",) else loc, message)
        if same not in seen:
            yield problem_at(root, loc, message)
        seen.add(same)


def _check_init_from(root: Node) -> Iterator[tuple[Loc, str]]:
    """Find `init_from` of an unknown or later stage."""
    names = [stage.name for stage in root.stages]
    for index, stage in enumerate(root.stages):
        value, earlier = stage.text("init_from"), [name for name in names[:index] if name]
        if not value or "/" in value or value in earlier:
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
