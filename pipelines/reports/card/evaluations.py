"""The evaluations of a model of a run, with those of the model before the first stage."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import InputError
from pipelines.evaluation import spec as specs
from pipelines.evaluation.model import fingerprint
from pipelines.evaluation.results import KEY_FILE
from pipelines.evaluation.summary import SetSummary, Summary, read_summary
from pipelines.evaluation.target import FOLDER
from pipelines.run.export import Trained
from preprocess import atomic

EXPORTED = "model.source"
"""In the folder of an evaluation: the fingerprint of the checkpoint that it converted."""


@dataclass(frozen=True)
class Evaluated:
    """What the model reaches on a set."""

    summary: SetSummary
    tool: str | None
    """The tool that the model could call."""
    base: SetSummary | None = None
    """The same of the model before the first stage, if it was sampled in the same way."""


def find_evaluations(trained: Trained) -> list[Evaluated]:
    """Return the evaluations of a model that its current weights gave; of several of a set, the newest."""
    home, first = trained.plan.directory / FOLDER, trained.plan.recipe.stages[0]
    before = {_key(summary, each): each for _, summary in _list(home, f"{first.name}@0") for each in summary.sets.values()}
    print_of = fingerprint(str(trained.source)) if trained.source.is_dir() else ""
    found: dict[tuple[str, str, str | None], Evaluated] = {}
    for folder, summary in _list(home, trained.label):
        for each in summary.sets.values():
            if _is_of(folder, each.name, print_of):
                key = _key(summary, each)
                found[key] = Evaluated(each, summary.tool, before.get(key))
    return [found[key] for key in sorted(found, key=str)]


def _key(summary: Summary, given: SetSummary) -> tuple[str, str, str | None]:
    return given.name, given.sampling, summary.tool


def _list(home: Path, label: str) -> Iterator[tuple[Path, Summary]]:
    """Yield the complete evaluations with a label, the oldest first."""
    folders = [each.parent for each in home.glob(f"*/{specs.FILE}")]
    for folder in sorted(folders, key=lambda each: (each / specs.FILE).stat().st_mtime):
        try:
            if specs.read(folder / specs.FILE).label == label:
                yield folder, read_summary(folder)
        except (specs.SpecError, InputError):
            continue  # not finished, or of a later version


def _is_of(folder: Path, name: str, wanted: str) -> bool:
    """Return whether a set's results are of the model with a fingerprint."""
    exported = folder / EXPORTED
    if exported.is_file():
        return exported.read_text(encoding="utf-8") == wanted
    key = atomic.read_json(folder / name / KEY_FILE) or {}
    return bool(key.get("generated", {}).get("model") == wanted)
