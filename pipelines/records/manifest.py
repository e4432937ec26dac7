"""`run.json`: what a run consists of. It is written before the first step, so that a run can be read without its recipe."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

import msgspec

from pipelines.digests import write_atomically
from pipelines.errors import InputError

FILE = "run.json"

_SCALARS = (
    ("bool", "true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", "[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", "-+.0123456789"),
    ("null", "~|null|Null|NULL|", "~nN\0"),
)
"""Tag, pattern and first characters of the scalars of YAML 1.2 that are not text."""

VERSION = 1
"""Version of the file's layout."""


class StageEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A stage of the recipe."""

    name: str
    kind: Literal["sft", "rl"]
    trainer: str
    algorithm: str | None = None
    steps: int | None = None
    """Training steps that the recipe asks for; None: given in epochs."""


class StepEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A step of the run."""

    name: str
    """`<stage>/<step>`, or the name of a step of no stage, such as `model`."""
    title: str
    stage: str | None
    folder: str
    """Its folder, relative to the run directory."""
    trainer: str | None = None
    """The trainer in whose environment it runs; None: the orchestrator's."""
    optional: bool = False


class PinEntry(msgspec.Struct, frozen=True, kw_only=True):
    """The environment of a trainer."""

    trainer: str
    version: str = ""
    """Pinned version of the trainer; empty: the user chose the Python."""
    lock: str = ""
    """Digest of the lock of all its packages."""
    python: str = ""
    """The Python that the user chose; empty: the pinned environment."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a run consists of."""

    version: int = VERSION
    id: str = ""
    """Identifies the run, wherever it is moved; empty: unknown."""
    project: str = ""
    """Version of this project; empty: unknown."""
    name: str
    """Name of the recipe."""
    command: list[str] = []
    """The command line of the newest `pipeline run`; empty: unknown."""
    folder: str = ""
    """The folder in which it was typed."""
    platform: str = ""
    smoke: bool = False
    stages: list[StageEntry]
    steps: list[StepEntry]
    """All steps of the recipe, in order."""
    selected: list[str] = []
    """Names of the steps that the newest `pipeline run` was to do; empty: all."""
    pins: list[PinEntry] = []
    """Environments of the newest `pipeline run`; empty: not recorded."""


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Write `run.json` atomically."""
    write_atomically(directory / FILE, msgspec.json.format(msgspec.json.encode(manifest), indent=1).decode() + "\n")


def project_version() -> str:
    """Return the version of this project."""
    from importlib.metadata import version

    return version("code-post-training")


def read_manifest(directory: Path) -> Manifest | None:
    """Return what a run consists of; None if the file is missing or damaged.

    Raises:
        InputError: A later version of this project wrote it.
    """
    try:
        text = (directory / FILE).read_bytes()
        found = msgspec.json.decode(text, type=dict[str, Any])
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    given = found.get("version")
    if isinstance(given, int) and given > VERSION:
        by = f" {found['project']}" if isinstance(found.get("project"), str) else ""
        raise InputError(
            f"{directory} is a run of a later version{by} (layout {given}); "
            f"this one, {project_version()}, reads layouts up to {VERSION}"
        )
    try:
        return msgspec.convert(found, Manifest)
    except msgspec.ValidationError:
        return None


def find_manifest(directory: Path) -> Manifest:
    """Return what a run of version 0.2 or earlier consists of, which has no `run.json`: by its recipe and its folders."""
    recipe = read_recipe(directory)
    given = [each for each in recipe.get("stages") or [] if isinstance(each, dict) and isinstance(each.get("name"), str)]
    stages = [_read_stage(each) for each in given]
    if not stages:
        found = [each for each in (directory / "stages").glob("*") if each.is_dir()]
        stages = [
            StageEntry(name=each.name, kind="sft", trainer="") for each in sorted(found, key=lambda each: each.stat().st_mtime)
        ]
    names = [stage.name for stage in stages]
    folders: list[tuple[str, str | None, str]] = [(f"{name}/prepare", name, f"stages/{name}/prepare") for name in names]
    folders += [("model", None, "make-model"), ("prompts", None, "count-prompts")]
    for name in names:
        folders += [
            (f"{name}/{step}", name, f"stages/{name}/{folder}")
            for step, folder in (("train", "train"), ("export", "export-model"), ("handover", "handover"))
        ]
    steps = [
        StepEntry(name=step, title=step, stage=stage, folder=folder)
        for step, stage, folder in folders
        if (directory / folder).is_dir() or step.endswith(("/prepare", "/train", "/handover"))
    ]
    given_name = recipe.get("name")
    return Manifest(name=given_name if isinstance(given_name, str) else directory.name, stages=stages, steps=steps)


def read_recipe(directory: Path) -> dict[str, Any]:
    """Return the resolved recipe of a run as plain values; empty if it is missing or damaged."""
    import yaml

    # The C parser alone reads YAML 1.1, where `1e-05` is text and `on` is true.
    loader: Any = type("Loader", (yaml.CSafeLoader,), {"yaml_implicit_resolvers": {}})
    for tag, pattern, first in _SCALARS:
        loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"(?:{pattern})$"), list(first))
    try:
        found = yaml.load((directory / "recipe.yaml").read_text(encoding="utf-8"), loader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return found if isinstance(found, dict) else {}


def _read_stage(given: dict[str, Any]) -> StageEntry:
    kind: Literal["sft", "rl"] = "rl" if given.get("kind") == "rl" else "sft"
    steps, algorithm, trainer = given.get("steps"), given.get("algorithm"), given.get("trainer")
    return StageEntry(
        name=given["name"],
        kind=kind,
        trainer=trainer if isinstance(trainer, str) else "verl" if kind == "rl" else "llamafactory",
        algorithm=algorithm if isinstance(algorithm, str) else None,
        steps=steps if isinstance(steps, int) else None,
    )
