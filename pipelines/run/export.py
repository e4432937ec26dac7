"""Convert any checkpoint of a run into a model folder, with the hand-over's checks."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipelines.console.progress import Progress
from pipelines.console.sizes import format_bytes
from pipelines.digests import write_atomically
from pipelines.errors import StepError
from pipelines.recipe.schema import RlStage, SftStage
from pipelines.run.command import run_logged
from pipelines.run.failure import failure
from pipelines.run.handover import model_files
from pipelines.run.plan import Plan, trainer_module
from pipelines.trainers.base import Launch, StagePaths

MODEL = "model"
"""The folder of the exported model in the folder of an export."""

CONVERSION = "conversion"
"""The folder of its conversion."""


@dataclass(frozen=True)
class Trained:
    """A trained model of a run, to export."""

    plan: Plan
    stage: SftStage | RlStage
    step: int | None = None
    """The step of the checkpoint; None: the model that the stage handed over."""
    checkpoint: Path | None = None
    """The checkpoint of that step."""

    @property
    def label(self) -> str:
        """`<stage>` or `<stage>@<step>`."""
        return self.stage.name if self.step is None else f"{self.stage.name}@{self.step}"

    @property
    def source(self) -> Path:
        """The checkpoint, or the folder of the model."""
        return self.checkpoint or self.plan.paths(self.stage.name).model


def conversion(plan: Plan, stage: SftStage | RlStage, folder: Path) -> Launch | None:
    """Render the upstream command that converts `checkpoint` in a folder into `export` in it; adapters are merged.

    Returns:
        None if the stage's checkpoints are model folders already.
    """
    context = replace(plan.context(stage), paths=StagePaths(folder))
    launch = trainer_module(stage).export(stage, context)
    if launch is None:
        return None
    return replace(launch, environment={**plan.machine.variables.get(stage.trainer, {}), **launch.environment})


def convert(
    launch: Launch,
    checkpoint: Path,
    folder: Path,
    run_directory: Path,
    poll: Callable[[], None] = lambda: None,
    log: Path | None = None,
) -> Path:
    """Run a conversion in an empty folder; return the folder of the model, which no check has seen.

    Args:
        launch: What `conversion` returned for this folder.
        checkpoint: The checkpoint.
        folder: The folder of the conversion; what it has is deleted.
        run_directory: The folder by which its processes and temporary files are found again.
        poll: Called twice a second.
        log: The log; default: `log` in the folder.

    Raises:
        StepError: It failed, or left no model.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, text in launch.files.items():
        write_atomically(folder / name, text)
    (folder / "checkpoint").symlink_to(checkpoint)
    what = f"the export of {checkpoint}"
    run_logged(launch.argv, launch.environment, folder, run_directory, what, poll, log)
    if not (folder / "export").is_dir():
        raise failure(f"{what} ended with status 0 but left no model", log or folder / "log")
    return folder / "export"


def export_model(trained: Trained, folder: Path, display: Progress, *, copy: bool = True) -> Path:
    """Export a model of a run into `model` in a folder, after the checks of the hand-over have passed.

    A model that was handed over is not compared with the initial model again, which need not exist any more.

    Args:
        trained: The model.
        folder: An existing folder for the export.
        display: Where to report.
        copy: Copy the files, so that what changes them does not change the run; False: link them if possible.

    Returns:
        The folder of the model.

    Raises:
        StepError: The conversion failed, or the model failed a check.
    """
    with _log() as log:
        source = _convert_checkpoint(trained, folder, display, log)
        converted = source != trained.source
        launch, settings = _render_checks(trained, source, folder / MODEL, copy=copy and not converted)
        write_atomically(folder / "handover.json", json.dumps(settings, indent=1) + "\n")
        display.start(f"check {trained.label}")
        total = sum(file.stat().st_size for file in model_files(source))
        shown = _Written(folder, display, total).show if settings["copy"] else display.update
        run_logged(launch.argv, launch.environment, folder, folder, f"the check of {trained.source}", shown, log)
    if converted:
        shutil.rmtree(folder / CONVERSION)
    return folder / MODEL


def _convert_checkpoint(trained: Trained, folder: Path, display: Progress, log: Path) -> Path:
    """Return the folder of the model that is to be checked."""
    launch = conversion(trained.plan, trained.stage, folder / CONVERSION) if trained.checkpoint is not None else None
    if launch is None:
        return trained.source
    display.start(f"convert {trained.label}")
    shown = _Written(folder / CONVERSION / "export", display).show
    return convert(launch, trained.source, folder / CONVERSION, folder, shown, log)


def _render_checks(trained: Trained, source: Path, model: Path, *, copy: bool) -> tuple[Launch, dict[str, Any]]:
    """Return the command of the stage's hand-over, and its settings for this model."""
    plan, stage = trained.plan, trained.stage
    launch = plan.step(f"{stage.name}/handover").launch
    settings: dict[str, Any] = json.loads(launch.files["handover.json"])
    return launch, {
        "exported": str(source),
        "before": plan.initial_model(stage) if trained.checkpoint is not None else None,
        "model": str(model),
        # An environment that is not built here reads nothing here.
        "readers": [python for python in settings["readers"] if Path(python).is_file()],
        "copy": copy,
    }


@contextmanager
def _log() -> Iterator[Path]:
    """Yield a log, which stays if the block fails."""
    handle, name = tempfile.mkstemp(prefix="pipeline-export-", suffix=".log")
    os.close(handle)
    try:
        yield Path(name)
    except StepError:
        raise
    except BaseException:
        Path(name).unlink()
        raise
    Path(name).unlink()


class _Written:
    """Shows how much of a model is written.

    Args:
        folder: Where it is written.
        display: Where to report.
        total: Its bytes; None: unknown.
    """

    def __init__(self, folder: Path, display: Progress, total: int | None = None) -> None:
        self._folder = folder
        self._display = display
        self._total = total

    def show(self) -> None:
        """Report it."""
        done = 0
        with suppress(OSError):  # renamed in the meantime
            done = sum(file.stat().st_size for file in self._folder.rglob("*.safetensors"))
        if self._total:
            self._display.update(done, self._total, f"{format_bytes(done)} of {format_bytes(self._total)}")
        else:
            self._display.update(detail=f"{format_bytes(done)} written" if done >= 1e6 else "")
