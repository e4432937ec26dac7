"""Where a model or a data set comes from: its name, and the revision and licence that the hub's cache on this machine has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipelines.models.folder import find_model_folder, hub_cache
from preprocess.sources import hub

_SNAPSHOT = re.compile(r"models--(?P<owner>[\w.-]+?)--(?P<name>[\w.-]+)/snapshots/(?P<commit>[0-9a-f]{40})$", re.ASCII)
_FRONT_MATTER = re.compile(r"\A---\r?\n(.*?)\r?\n---\r?\n", re.DOTALL)
_HEAD_BYTES = 64 * 1024


@dataclass(frozen=True)
class Origin:
    """A model or a data set that the model depends on."""

    name: str
    """A hub name, or the name of a file or folder."""
    on_hub: bool = False
    """Whether it is a hub name."""
    revision: str | None = None
    """The commit; None: unknown."""
    licence: str | None = None
    """The licence's identifier; None: unknown."""


def find_model(model: str, revision: str | None = None) -> Origin:
    """Return the origin of a model: a hub name at a revision, a snapshot in the hub's cache, or another folder."""
    if found := _SNAPSHOT.search(model):
        return Origin(f"{found['owner']}/{found['name']}", True, found["commit"], _read_licence(Path(model)))
    if Path(model).is_absolute():
        return Origin(Path(model).name, licence=_read_licence(Path(model)))
    folder = find_model_folder(model, revision) if revision else None
    return _find_on_hub("models", model, folder.name if folder else None)


def find_data(source: str, revisions: Mapping[str, str]) -> Origin:
    """Return the origin of a source of rows: a hub name, or a file or folder.

    Args:
        source: The source.
        revisions: Data set -> the commit that was downloaded when the rows were prepared.
    """
    if not Path(source).is_absolute() and (named := hub.parse(source)) is not None:
        return _find_on_hub("datasets", named.name, revisions.get(named.name))
    return Origin(Path(source).name)


def _find_on_hub(kind: Literal["models", "datasets"], name: str, revision: str | None = None) -> Origin:
    snapshots = hub_cache() / f"{kind}--{name.replace('/', '--')}" / "snapshots"
    cached = [each.name for each in snapshots.glob("*")]
    if revision is None and len(cached) == 1:  # of several, it is not known which was used
        revision = cached[0]
    return Origin(name, True, revision, _read_licence(snapshots / revision) if revision else None)


def _read_licence(folder: Path) -> str | None:
    """Return the licence that a card names."""
    found = _read_front_matter(folder / "README.md").get("license")
    given = found if isinstance(found, list) else [found]
    return ", ".join(each for each in given if isinstance(each, str)) or None


def _read_front_matter(path: Path) -> Mapping[str, Any]:
    import yaml

    try:
        with path.open("rb") as file:
            text = file.read(_HEAD_BYTES).decode("utf-8", "replace")
        block = _FRONT_MATTER.match(text)
        values = yaml.load(block[1], yaml.CSafeLoader) if block else None
    except (OSError, yaml.YAMLError):
        return {}
    return values if isinstance(values, dict) else {}
