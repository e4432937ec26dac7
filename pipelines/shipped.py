"""Locate the files that ship with this project: its packages, the recipes and the upstreams' pins."""

from __future__ import annotations

import os
from pathlib import Path

from pipelines.errors import file_error
from preprocess import atomic

_NAME = "code-post-training"

CODE = Path(__file__).resolve().parents[1]
"""The folder that contains the packages: a checkout, or site-packages."""

DATA = CODE if (CODE / "third_party" / "verl" / "pin.toml").is_file() else CODE / "pipelines" / "_shipped"
"""The folder that contains `recipes` and `third_party`: the checkout, or package data."""

RECIPES = DATA / "recipes"
THIRD_PARTY = DATA / "third_party"


def find_recipes(folder: Path) -> Path:
    """Return the folder of the shipped recipes for a place: those of the checkout that contains it, else of this project.

    The command `pipeline` may be that of another checkout than the one the user works in.
    """
    for parent in (folder, *folder.parents):
        if _is_checkout(parent):
            return parent / "recipes"
    return RECIPES


def other_checkout(path: Path) -> Path | None:
    """Return the checkout of this project that contains a path, if it is not the one that runs."""
    found = next((parent for parent in path.parents if _is_checkout(parent)), None)
    return None if found is None or found.resolve() == DATA.resolve() else found


def _is_checkout(folder: Path) -> bool:
    # Unlike those of Path, these are False for a folder that may not be read.
    return os.path.isfile(folder / "third_party/verl/pin.toml") and os.path.isdir(folder / "recipes")  # noqa: PTH112, PTH113


def cache_folder() -> Path:
    """Return the folder for the checkouts and environments that an installed package builds."""
    from importlib.metadata import version

    from platformdirs import user_cache_path

    return user_cache_path(_NAME, version=version(_NAME))


def import_path() -> Path:
    """Return the folder that makes this project importable in another Python, and no other package of this one.

    A checkout is such a folder. For an installed package, `import_folder` makes one.
    """
    return CODE if DATA == CODE else cache_folder() / "packages"


def import_folder() -> Path:
    """Return `import_path()`, with links to the three packages and to their metadata, which names the plugins of verl and vLLM.

    Raises:
        StepError: the folder cannot be written.
    """
    folder = import_path()
    if folder == CODE:
        return folder
    packages = [CODE / name for name in ("pipelines", "preprocess", "rewards")]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in (*packages, *CODE.glob(f"{_NAME.replace('-', '_')}-*.dist-info")):
            link = folder / path.name
            if not link.is_symlink() or link.readlink() != path:
                with atomic.replacement(link) as temporary:
                    temporary.symlink_to(path)
    except OSError as error:
        raise file_error(f"{folder} cannot be written: {error.strerror}", error) from None
    return folder


def python_path() -> str:
    """Return the PYTHONPATH with which another Python can import this project."""
    return os.pathsep.join(filter(None, [str(import_folder()), os.environ.get("PYTHONPATH")]))
