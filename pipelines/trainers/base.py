"""The contract between a run and a trainer: render a stage as a command, and read what its training left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    # The readers of run directories import this module, and start without pydantic.
    from pipelines.recipe.schema import Recipe, RlStage, SftStage

Platform = Literal["cpu", "cuda"]


@dataclass(frozen=True)
class StagePaths:
    """The files of a stage: `runs/<name>/stages/<stage>/`."""

    root: Path

    @property
    def data(self) -> Path:
        """train.parquet, validation.parquet, rejects.jsonl, summary.json."""
        return self.root / "data"

    @property
    def prompts(self) -> Path:
        """prompts.json: the lengths of the prompts in tokens."""
        return self.root / "prompts.json"

    @property
    def fitting(self) -> Path:
        """The rows of `data` that are not overlong, if an sft stage leaves out others, and left_out.jsonl."""
        return self.root / "fitting"

    @property
    def checkpoints(self) -> Path:
        """The trainer's checkpoints, in the trainer's layout."""
        return self.root / "checkpoints"

    @property
    def checkpoint(self) -> Path:
        """A link to the checkpoint that `Trainer.result` returned; set when training is complete."""
        return self.root / "checkpoint"

    @property
    def export(self) -> Path:
        """The trained model as a Hugging Face folder, not yet checked."""
        return self.root / "export"

    @property
    def model(self) -> Path:
        """The trained model as a Hugging Face folder; exists only after the hand-over's checks have passed."""
        return self.root / "model"

    @property
    def metrics(self) -> Path:
        """One JSON object per line and step: `step` and the trainer's metrics, each step once."""
        return self.root / "metrics.jsonl"

    @property
    def samples(self) -> Path:
        """A few responses of each step of RL with their rewards: `train/STEP.jsonl` and `validation/STEP.jsonl`."""
        return self.root / "samples"

    def step(self, name: str) -> Path:
        """Return the folder of a step (prepare, train, export, handover): command.sh, configuration, log and record."""
        return self.root / name


def rows_folder(stage: SftStage | RlStage, paths: StagePaths) -> Path:
    """Return the folder of the rows that the trainer reads; verl itself leaves out the prompts of RL that are overlong."""
    return paths.fitting if stage.kind == "sft" and stage.overlong == "leave_out" else paths.data


def count_rows(folder: Path, split: str) -> int | None:
    """Return the number of rows in a folder of prepared rows; None if the file is missing."""
    from pyarrow.parquet import read_metadata

    file = folder / f"{split}.parquet"
    return int(read_metadata(file).num_rows) if file.exists() else None


@dataclass(frozen=True)
class Context:
    """What rendering a stage needs besides the stage. All paths are absolute and need not exist yet."""

    recipe: Recipe
    platform: Platform
    python: Path
    """The Python of the trainer's environment."""
    source: Path
    """The pinned checkout of the trainer."""
    paths: StagePaths
    model: str
    """The initial model: a folder or a hub name."""
    ray: Path | None = None
    """The Python of verl's environment, which has Ray, if a stage uses several machines."""


@dataclass(frozen=True)
class Launch:
    """One complete command; the user can run it without this project."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables added to the caller's."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Configuration files to write into the step's folder: name -> text."""
    cache_key_files: Mapping[str, str] = field(default_factory=dict)
    """Replaces `files` of the same name in the cache key: the text without settings that do not affect the result.

    Changing such a setting resumes a training from its last checkpoint instead of restarting it."""


@dataclass(frozen=True)
class Progress:
    """How far a step is."""

    step: int
    total: int | None
    metrics: Mapping[str, float]
    """Shown next to the progress bar, the most important first: the loss for SFT, the reward for RL."""
    shown: str = ""
    """Text to show instead of `step 3/30`."""


@dataclass(frozen=True)
class Result:
    """A training that reached its last step."""

    checkpoint: Path
    """The checkpoint to export."""
    step: int
    """The last step trained."""
    notes: tuple[str, ...] = ()
    """One-line notes for the user, such as how many rows were dropped."""


@dataclass(frozen=True)
class DiskUsage:
    """Bytes that a stage leaves on the disk, without small files."""

    checkpoint: int
    """One checkpoint to resume from."""
    export: int
    """The trained model as a Hugging Face folder, next to the checkpoints."""


OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
"""Variables with which nothing is asked of the hub; a value of the user takes precedence over a launch's."""


HEADLINES: Mapping[tuple[str, str], tuple[str, str]] = {
    ("sft", "llamafactory"): ("loss", "loss"),
    ("sft", "verl"): ("loss", "train/loss"),
    ("rl", "verl"): ("reward", "critic/score/mean"),
}
"""Kind and trainer of a stage -> the metric that is shown first: its name to show, and in `metrics.jsonl`."""


StageT = TypeVar("StageT", "SftStage", "RlStage", contravariant=True)


class Trainer(Protocol[StageT]):
    """One upstream trainer, implemented by a module with these functions. Rendering is pure."""

    ANSWERS: str
    """The module that validates stages in the trainer's environment (`pipelines.trainers.answering`)."""

    def disk_usage(self, stage: StageT, context: Context, parameters: int) -> DiskUsage:
        """Estimate the size of the stage's files from the model's number of parameters."""

    def launch(self, stage: StageT, context: Context) -> Launch:
        """Render the training command. Run again after a kill, it resumes from the last checkpoint."""

    def export(self, stage: StageT, context: Context) -> Launch | None:
        """Render the upstream command that converts `paths.checkpoint` into the Hugging Face folder `paths.export`.

        Returns:
            None if the checkpoint is such a folder already.
        """

    def checkpoints(self, paths: StagePaths) -> dict[int, Path]:
        """Return the complete checkpoints by their steps."""

    def incomplete(self, paths: StagePaths) -> dict[int, str]:
        """Return the checkpoints that cannot be resumed from by their steps, each with what is wrong with it."""

    def before_attempt(self, stage: StageT, paths: StagePaths) -> int:
        """Delete incomplete checkpoints before resuming; return the step to resume from (0: start from scratch)."""

    def progress(self, stage: StageT, paths: StagePaths) -> Progress | None:
        """Return the newest step; None before the first.

        Raises:
            StepError: training must be aborted.
        """

    def metrics(self, stage: StageT, paths: StagePaths) -> list[dict[str, float]]:
        """Return one mapping per step, in order, each with `step`; where attempts overlap, the last one counts."""

    def result(self, stage: StageT, paths: StagePaths) -> Result:
        """Return the checkpoint to export.

        Raises:
            StepError: training did not reach its last step, whatever its exit status.
        """


def progress_of(row: Mapping[str, float], total: int | None, shown: Iterable[tuple[str, str]]) -> Progress:
    """Return the progress at a step with those of the metrics `shown` (name to show, metric) that the step has."""
    return Progress(int(row["step"]), total, {name: row[key] for name, key in shown if key in row})


def best_note(metric: str, best: int, value: float, last: int, last_value: float | None) -> str:
    """Return the note on the exported checkpoint: why it was chosen, and the metric of the last one."""
    note = f"step {best} is exported: {metric} {value:.4g}"
    return note if best == last else f"{note}; last step {last}: {'unknown' if last_value is None else f'{last_value:.4g}'}"


def to_yaml(values: Mapping[str, Any], comment: str) -> str:
    """Return YAML 1.1 text, keys in the given order, below a comment of one line.

    PyYAML writes it, although ruamel.yaml reads recipes: both upstreams read YAML 1.1 with PyYAML, in which a bare `yes` is a
    boolean and a bare `1e-06` a string. Only a YAML 1.1 writer quotes them accordingly.
    """
    import yaml

    text = yaml.safe_dump(dict(values), sort_keys=False, default_flow_style=False, width=4096, allow_unicode=True)
    return f"# {comment}\n{text}"
