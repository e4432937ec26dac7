"""What the preparation of a stage's rows tells: how far it is, and what came of it."""

from __future__ import annotations

import json
from typing import Any

from pipelines.run.plan import Step
from pipelines.trainers.base import Progress
from preprocess.engine.progress import read_progress as read_file


def is_preparation(step: Step) -> bool:
    """Whether the step prepares rows."""
    return step.name.endswith("/prepare")


def read_progress(step: Step) -> Progress | None:
    """How far a preparation is; None when it does not say, or is none."""
    reached = read_file(step.directory / "progress.json") if is_preparation(step) else None
    if reached is None:
        return None
    share = f"{reached.bytes / reached.total:.0%}, " if reached.total else ""
    return Progress(reached.bytes, reached.total, {}, f"{share}{reached.records:,} records")


def read_summary(step: Step) -> dict[str, Any]:
    """What came of a preparation: its summary.json."""
    summary: dict[str, Any] = json.loads((step.outputs[0] / "summary.json").read_text(encoding="utf-8"))
    return summary


def describe(step: Step) -> str:
    """What came of a preparation, in one line; empty for any other step."""
    from preprocess.engine.job import KINDS

    if not is_preparation(step):
        return ""
    summary = read_summary(step)
    rows = summary["rows"]
    said = f"{summary['records']:,} records -> {rows['train']:,} training and {rows['validation']:,} validation rows"
    for kind in KINDS:
        if count := sum(summary[kind].values()):
            said += f", {count:,} {kind.replace('_', ' ')}"
    return said
