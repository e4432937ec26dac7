"""Which recipe may be run in a directory: one that can be written, and that belongs to no other recipe file.

`recipe.json` names the recipe file of a run directory. Recipes of one name would overwrite each other's results.
"""

from __future__ import annotations

import hashlib
import os
import pwd
from contextlib import suppress
from pathlib import Path
from stat import filemode

import msgspec

from pipelines.digests import write_atomically
from pipelines.recipe.loading import Loaded
from pipelines.records.manifest import read_manifest

FILE = "recipe.json"

_RESOLVED = "recipe.yaml"
"""The resolved recipe of the newest run."""


class RecipeFile(msgspec.Struct, frozen=True, kw_only=True):
    """A recipe file, when it was run."""

    path: str
    digest: str
    """Of its content."""
    directory: str
    """The run directory, which may have been moved since, with or without the recipe."""


def find_unwritable(directory: Path) -> str | None:
    """Return the first folder of a run directory that cannot be read and written, and why; None: all can be.

    Of a directory that does not exist, the folder in which it would be made.
    """
    place = next(each for each in (directory, *directory.parents) if os.path.lexists(each))
    inside = [each for pattern in ("*/", "stages/*/", "stages/*/*/") for each in place.glob(pattern)]
    folders = [place, *inside] if place == directory else [place]
    for each in folders:
        if not each.is_dir():
            return f"{each} is not a folder"
        if not os.access(each, os.R_OK | os.W_OK | os.X_OK):
            return f"{each} cannot be written: {_explain(each)}"
    return None


def _explain(folder: Path) -> str:
    stat = folder.stat()
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        return "its file system is read-only"
    if stat.st_uid == os.geteuid():
        return f"its permissions are {filemode(stat.st_mode)}"
    with suppress(KeyError):
        return f"it belongs to {pwd.getpwuid(stat.st_uid).pw_name}"
    return f"it belongs to user {stat.st_uid}"


def find_conflict(directory: Path, loaded: Loaded, *, adopt: bool = False) -> str | None:
    """Return why a recipe cannot be run in a directory: it is not writable, or belongs to another recipe file.

    It belongs to the same one also after both were moved, and to a file of the same content: nothing would be overwritten.

    Args:
        directory: The run directory; it need not exist.
        loaded: The recipe.
        adopt: Take it over from another recipe file.
    """
    if unwritable := find_unwritable(directory):
        return f"{unwritable}; --runs DIR makes run directories elsewhere"
    known, path = _read(directory), loaded.path
    if adopt or known is None or path.is_relative_to(directory) or _is_same(known, directory, path):
        return None
    with suppress(OSError, UnicodeDecodeError):
        if (directory / _RESOLVED).read_text(encoding="utf-8") == loaded.text():
            return None
    gone = "" if Path(known.path).exists() else ", which does not exist any more"
    return (
        f"{loaded.where('name')}: name: {directory} is the run of {known.path}{gone}; {path} would overwrite it: "
        "set another `name`, or take it over with --adopt"
    )


def claim(directory: Path, path: Path) -> None:
    """Record the recipe file of a run directory; a copy in the directory itself leaves the record as it is."""
    if path.is_relative_to(directory) and _read(directory) is not None:
        return
    found = RecipeFile(path=str(path), digest=_digest(path), directory=str(directory))
    if found != _read(directory) or not (directory / FILE).is_file():
        write_atomically(directory / FILE, msgspec.json.format(msgspec.json.encode(found), indent=1).decode() + "\n")


def _read(directory: Path) -> RecipeFile | None:
    """Return the recipe file of a run; None if unknown."""
    try:
        return msgspec.json.decode((directory / FILE).read_bytes(), type=RecipeFile)
    except (OSError, msgspec.DecodeError):
        return _guess(directory)


def _guess(directory: Path) -> RecipeFile | None:
    """Return the recipe file of a run before `recipe.json` was written, by its command line; None if it is not there."""
    manifest = read_manifest(directory)
    if manifest is None or not manifest.folder:
        return None
    for word in manifest.command:
        path = Path(manifest.folder, word)
        if word.endswith((".yaml", ".yml")) and path.is_file() and not path.is_relative_to(directory):
            return RecipeFile(path=str(path), digest=_digest(path), directory=str(directory))
    return None


def _is_same(known: RecipeFile, directory: Path, path: Path) -> bool:
    with suppress(OSError):
        if path.samefile(known.path):
            return True
    # Moved or copied together.
    if os.path.relpath(path, directory) == os.path.relpath(known.path, known.directory):
        return True
    return _digest(path) == known.digest


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
