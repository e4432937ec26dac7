"""The summary of an evaluation: `summary.json`, typed and versioned."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from pipelines.digests import write_atomically
from pipelines.errors import InputError
from pipelines.evaluation.measures import Measures, Share
from pipelines.evaluation.spec import SUMMARY
from pipelines.evaluation.statistics import Figure
from preprocess import atomic
from rewards.suggestions import nearest_path, suggestion

VERSION = 1


class SetSummary(BaseModel):
    """What a model reaches on a set. Figures are over the problems that have all of their responses."""

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = 1
    name: str
    samples: int
    """Responses per problem."""
    temperature: float
    """0: greedy."""
    metric: str
    """The figure by which models are compared, such as `pass@1`."""
    incomplete: Share
    """Problems without one or more of their responses."""
    overall: Measures
    groups: dict[str, dict[str, Measures]] = {}
    """Tag -> its value -> the problems with it."""
    failures: dict[str, int] = {}
    """The most frequent reasons of responses that could not be scored."""

    @property
    def sampling(self) -> str:
        """Return how responses were drawn; figures of different sampling are not comparable."""
        if self.temperature == 0:
            return "greedy"
        return f"{self.samples} {'sample' if self.samples == 1 else 'samples'} at temperature {self.temperature:g}"

    def figure(self, name: str) -> Figure:
        """Return a figure of all problems by its name.

        Raises:
            InputError: The set has no such figure; names the nearest.
        """
        figures = self.overall.figures
        if name not in figures:
            raise InputError(f"{self.name} has no figure {name!r}{suggestion(name, figures)}")
        return figures[name]


class Summary(BaseModel):
    """The summaries of all sets on which a model was evaluated."""

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = 1
    target: str
    """What was evaluated, as the user named it."""
    model: str
    """The model's folder or hub name."""
    tool: str | None = None
    """The tool that the model could call."""
    sets: dict[str, SetSummary]
    warnings: dict[str, str] = {}
    """Set that has no summary -> why."""

    def set(self, name: str) -> SetSummary:
        """Return the summary of a set.

        Raises:
            InputError: The model was not evaluated on it; names the nearest.
        """
        if name not in self.sets:
            raise InputError(f"{self.target} was not evaluated on {name!r}{suggestion(name, self.sets)}")
        return self.sets[name]


def write(folder: Path, summary: SetSummary | Summary) -> None:
    """Write the summary of a set or of an evaluation into its folder.

    Raises:
        StepError: The file cannot be written; the old one stays.
    """
    write_atomically(folder / SUMMARY, summary.model_dump_json(indent=1) + "\n")


def read_summary(folder: Path) -> Summary:
    """Read the summary of an evaluation.

    Raises:
        InputError: The folder has none, a later release wrote it, or it is damaged.
    """
    path = folder / SUMMARY
    if not folder.is_dir():
        raise InputError(f"evaluation {folder} not found{nearest_path(folder)}")
    if not path.is_file():
        raise InputError(
            f"{folder} has no {SUMMARY}: not an evaluation, or not finished; start `pipeline evaluate` again to resume"
        )
    try:
        found = atomic.read_json(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    version = (found or {}).get("version")
    if isinstance(version, int) and version > VERSION:
        raise InputError(f"{path} has version {version}, of a later release; this one reads version {VERSION}")
    try:
        return Summary.model_validate(found)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise InputError(f"{path} is damaged: {place}: {first['msg']}; delete it and evaluate again") from None
