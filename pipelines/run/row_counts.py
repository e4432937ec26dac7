"""Progress and row counts of the steps that prepare a stage's rows."""

from __future__ import annotations

import json
from typing import Any

from pipelines.run.plan import Step
from pipelines.trainers.base import Progress
from preprocess.engine.progress import read_progress as read_file
from rewards.wording import count


def read_progress(step: Step) -> Progress | None:
    """Return the progress of a preparation; None if unknown, or for any other step."""
    reached = read_file(step.directory / "progress.json") if step.prepares else None
    if reached is None:
        return None
    share = f"{reached.bytes / reached.total:.0%}, " if reached.total else ""
    return Progress(reached.bytes, reached.total, {}, f"{share}{count(reached.records, 'record')}")


def read_summary(step: Step) -> dict[str, Any]:
    """Return the summary.json of a preparation."""
    summary: dict[str, Any] = json.loads((step.outputs[0] / "summary.json").read_text(encoding="utf-8"))
    return summary


def describe(step: Step) -> str:
    """Return the row counts of a preparation in one line."""
    from preprocess.engine.job import KINDS

    summary = read_summary(step)
    rows = summary["rows"]
    records = count(summary["records"], "record")
    text = f"{records} -> {rows['train']:,} training and {count(rows['validation'], 'validation row')}"
    counts = {kind: sum(summary[kind].values()) for kind in KINDS}
    return text + "".join(f", {number:,} {kind.replace('_', ' ')}" for kind, number in counts.items() if number)
