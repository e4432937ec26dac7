"""The contract between the chain and a trainer: rendering is pure, reading back is honest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from pipelines.recipe.schema import Recipe, RlStage, SftStage

Platform = Literal["cpu", "cuda"]


@dataclass(frozen=True)
class StagePaths:
    """Where a stage's things lie: `runs/<name>/stages/<stage>/`."""

    root: Path

    @property
    def data(self) -> Path:
        """train.parquet, validation.parquet, rejects.jsonl, summary.json."""
        return self.root / "data"

    @property
    def prompts(self) -> Path:
        """prompts.json: how many tokens its prompts have."""
        return self.root / "prompts.json"

    @property
    def checkpoints(self) -> Path:
        """The trainer's own checkpoints, in its own layout."""
        return self.root / "checkpoints"

    @property
    def checkpoint(self) -> Path:
        """A link to the checkpoint that `Trainer.result` accepted; set when training is complete."""
        return self.root / "checkpoint"

    @property
    def export(self) -> Path:
        """The trained model as a HuggingFace folder, not yet checked."""
        return self.root / "export"

    @property
    def model(self) -> Path:
        """The trained model as a HuggingFace folder, checked: it exists only when the hand-over's checks have passed."""
        return self.root / "model"

    @property
    def metrics(self) -> Path:
        """One JSON object per line and step: `step` and the trainer's metrics, each step once."""
        return self.root / "metrics.jsonl"

    def step(self, name: str) -> Path:
        """The folder of one step (prepare, train, export, handover): its command.sh, configuration, log and record."""
        return self.root / name


@dataclass(frozen=True)
class Context:
    """What rendering a stage needs beyond the stage itself. All paths are absolute; nothing here need exist yet."""

    recipe: Recipe
    platform: Platform
    python: Path
    """The Python of the trainer's environment."""
    source: Path
    """The pinned checkout of the trainer."""
    paths: StagePaths
    model: str
    """What the stage starts from: a folder or a hub name."""


@dataclass(frozen=True)
class Launch:
    """One command, complete: a person can run it without this project."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables on top of the caller's."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Configuration files to write into the step's folder before the start: name -> text."""
    cache_key_files: Mapping[str, str] = field(default_factory=dict)
    """Of files that also say what does not matter to what is made, such as when to give up: name -> the text without it.

    Changed, that does not begin a training anew, which goes on from its last checkpoint."""


@dataclass(frozen=True)
class Progress:
    """How far a step is: a training by the trainer's own metric files."""

    step: int
    total: int | None
    metrics: Mapping[str, float]
    """What to show beside the bar, the most telling first: loss for SFT; reward for RL."""
    shown: str = ""
    """How far it is in words, where `step 3/30` is not it."""


@dataclass(frozen=True)
class Result:
    """A training that did what it was meant to."""

    checkpoint: Path
    """What the export reads."""
    step: int
    """The last step trained."""
    notes: tuple[str, ...] = ()
    """What a person should know about it, a line each: rows that were left out, for one."""


@dataclass(frozen=True)
class Saved:
    """What a stage leaves on the disk, in bytes, from its number of parameters: what matters, without what is small."""

    checkpoint: int
    """One checkpoint to resume from."""
    export: int
    """The trained model as a HuggingFace folder, beside the checkpoints."""


StageT = TypeVar("StageT", SftStage, RlStage, contravariant=True)


class Trainer(Protocol[StageT]):
    """One upstream trainer. A module with these functions is one."""

    ANSWERS: str
    """The module that the trainer's own Python runs to be asked about stages (`pipelines.trainers.answering`)."""

    def saved(self, stage: StageT, context: Context, parameters: int) -> Saved:
        """What the stage leaves on the disk. Pure."""
        ...

    def launch(self, stage: StageT, context: Context) -> Launch:
        """The training command. Pure. Run again after a kill, the same command resumes from the last checkpoint."""
        ...

    def export(self, stage: StageT, context: Context) -> Launch | None:
        """The upstream command that turns `paths.checkpoint` into the HuggingFace folder `paths.export`. Pure.

        None when the checkpoint is one already.
        """
        ...

    def before_attempt(self, stage: StageT, paths: StagePaths) -> int:
        """Makes the checkpoints fit to start from: removes what a kill left half-written.

        Returns the step from which training will go on (0: from the beginning).
        """
        ...

    def progress(self, stage: StageT, paths: StagePaths) -> Progress | None:
        """Where training is; None before the first step.

        Raises:
            StepError: it is of no use to go on; the run ends it.
        """
        ...

    def metrics(self, stage: StageT, paths: StagePaths) -> list[dict[str, float]]:
        """One mapping per step, in order, each with `step`; where attempts overlap the last one counts."""
        ...

    def result(self, stage: StageT, paths: StagePaths) -> Result:
        """The checkpoint to export.

        Raises:
            StepError: training did not reach the step it was meant to, whatever its exit status said.
        """
        ...
