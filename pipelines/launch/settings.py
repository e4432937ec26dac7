"""The `launch` settings of a recipe, merged over those of the site's file."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from pipelines.errors import InputError
from pipelines.recipe import variables
from pipelines.recipe.error_messages import explain
from pipelines.recipe.finding import read_file
from pipelines.recipe.launching import Launch
from pipelines.recipe.loading import Loaded
from pipelines.recipe.merging import clear_marks, deep_merge
from pipelines.recipe.nodes import Node, Origin, Step
from pipelines.recipe.problems import RecipeError, problem_at
from preprocess.config import Model

VARIABLE = "PIPELINE_SITE"
"""The variable that names the site's file."""


class Site(Model):
    """The file of a site: settings that all recipes have in common."""

    launch: Launch = Launch()
    """Clusters of the site."""


@dataclass(frozen=True)
class Settings:
    """Settings and the origin of each."""

    launch: Launch
    root: Node

    def where(self, *keys: Step) -> str:
        """Return `file:line: launch.slurm.partition` of a setting, or of what is around it if it was not written."""
        place, key = self.root.nearest(("launch", *keys)).origin.text, ".".join(map(str, ("launch", *keys)))
        # The text of a --set contains the key already.
        return place if place.endswith(key) else f"{place}: {key}"


def site_file() -> Path | None:
    """Return the site's file: the one that PIPELINE_SITE names, else `site.yaml` in the user's configuration folder.

    Raises:
        InputError: The variable names a file that does not exist.
    """
    if given := os.environ.get(VARIABLE):
        path = Path(given).expanduser()
        if not path.is_file():
            raise InputError(f"{VARIABLE}: {given} not found; expected a file with the key launch")
        return path.absolute()
    from platformdirs import user_config_path

    path = user_config_path("code-post-training") / "site.yaml"
    return path if path.is_file() else None


def read_settings(loaded: Loaded) -> Settings:
    """Return the settings of a recipe, over those of the site.

    Raises:
        InputError: The site's file has mistakes, one line each.
    """
    given = loaded.root.child("launch")
    path = site_file()
    if path is None:
        return Settings(loaded.recipe.launch, loaded.root)
    site = variables.substitute(clear_marks(read_file(path, path.parent, "launch")), os.environ)
    _validate(site)
    if given is None:
        return Settings(_validate(site), site)
    over = Node({"launch": given}, Origin(loaded.path.parent, given.origin.text, given.origin.order))
    merged = deep_merge(site, over)
    return Settings(_validate(merged), merged)


def _validate(root: Node) -> Launch:
    try:
        return Site.model_validate(root.plain()).launch
    except ValidationError as error:
        raise RecipeError([problem_at(root, loc, message) for loc, message in explain(error, root, Site)]) from None
