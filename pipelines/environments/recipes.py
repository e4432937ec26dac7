"""Download the verl-recipe repository at a tag, for the entry points of stages (`checkout: TAG`)."""

from __future__ import annotations

from pathlib import Path

from pipelines.environments.ask import AskError, call
from pipelines.errors import StepError
from pipelines.trainers.verl.rl.entry import recipes_folder
from preprocess import atomic

REPOSITORY = "https://github.com/verl-project/verl-recipe"

_SECONDS = 600.0


def download_recipes(tag: str) -> Path:
    """Clone the repository at a tag or branch, unless it is there already, and return its folder.

    Raises:
        StepError: It cannot be cloned.
    """
    folder = recipes_folder(tag)
    if folder.is_dir():
        return folder
    argv = ["-c", "advice.detachedHead=false", "clone", "--quiet", "--depth=1", f"--branch={tag}", REPOSITORY]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with atomic.replacement(folder) as temporary:
            call("git", [*argv, str(temporary)], variables={"GIT_TERMINAL_PROMPT": "0"}, timeout=_SECONDS)
    except (AskError, OSError) as error:
        raise StepError(f"{REPOSITORY} cannot be cloned at {tag}: {error}") from None
    return folder
