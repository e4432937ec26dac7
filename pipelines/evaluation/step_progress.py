"""How far the evaluation of a run is, read from its files."""

from __future__ import annotations

from pathlib import Path

import msgspec

from pipelines.evaluation import spec as specs
from pipelines.evaluation.progress import LineCount
from pipelines.evaluation.steps import STEP
from pipelines.run import row_counts
from pipelines.run.plan import Step
from pipelines.trainers.base import Progress


class StepProgress:
    """Reads the progress of running steps; each line of a file is read once."""

    def __init__(self) -> None:
        self._counts: dict[Path, LineCount] = {}

    def read(self, step: Step) -> Progress | None:
        """Return the progress of an evaluation, or of a preparation of rows; None if unknown."""
        if not step.name.endswith(STEP):
            return row_counts.read_progress(step)
        spec = msgspec.json.decode(step.launch.files[specs.FILE], type=specs.Spec)
        folders = [step.directory / each.name for each in spec.sets]
        total = sum(
            each.samples * self._count(folder / "problems.jsonl") for each, folder in zip(spec.sets, folders, strict=True)
        )
        generated = sum(self._count(folder / "generated.jsonl") for folder in folders)
        scored = sum(self._count(folder / "responses.jsonl") for folder in folders)
        if not total:
            return None
        return Progress(scored, total, {}, f"generated {generated:,}/{total:,}, scored {scored:,}")

    def _count(self, path: Path) -> int:
        return self._counts.setdefault(path, LineCount(path)).update()
