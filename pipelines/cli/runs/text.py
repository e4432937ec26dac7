"""Runs as text: their state, how far they are, ages."""

from __future__ import annotations

import time
from pathlib import Path

from pipelines.console.progress import format_seconds
from pipelines.records.runs import RUNS, Run, find_run, newest_run
from pipelines.records.summaries import Metric, RunSummary, show_steps

_UNITS = ((86_400, "d"), (3600, "h"), (60, "min"))


def choose_run(text: str | None, parent: Path = RUNS) -> Run:
    """Return the run of a command's argument; default: the one that changed last."""
    return find_run(text, parent) if text is not None else newest_run(parent)


def show_path(path: Path | str) -> str:
    """Return a path as short as it can be typed here."""
    path = Path(path)
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def show_age(seconds: float) -> str:
    """Return `12 s`, `5 min`, `3 h` or `2 d`."""
    for length, unit in _UNITS:
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def show_since(moment: float) -> str:
    """Return the age of a time in seconds since the epoch."""
    return show_age(time.time() - moment)


def show_count(step: float | None, total: float | None) -> str:
    """Return `3/30`; `-` if neither is known."""
    if step is None:
        return f"0/{total:,.0f}" if total else "-"
    return show_steps(step, total).removeprefix("step ")


def show_metric(metric: Metric | None) -> str:
    """Return `loss 0.2131`."""
    if metric is None:
        return ""
    return f"{metric.name} {'nan' if metric.value is None else f'{metric.value:.4g}'}"


def show_left(seconds: float | None) -> str:
    """Return `0:41 left`."""
    return f"{format_seconds(seconds)} left" if seconds is not None else ""


def show_state(run: RunSummary) -> str:
    """Return the state in a word or two."""
    if run.state == "running" and run.process is not None and not run.process.here:
        return f"running on {run.process.host}"
    if run.state == "waiting":
        return "not started" if run.job is None else "submitted"
    return run.state


def describe(run: RunSummary, reason: str = "") -> str:
    """Return the state of a run in one line, with how far it is."""
    state = show_state(run)
    if run.state == "complete":
        left = f"; not trained: {', '.join(run.untrained)}" if run.untrained else ""
        return f"{state}{left}"
    if run.state == "waiting":
        return state
    word = ":" if run.state == "running" else " at"
    steps = show_steps(run.step, run.total) if run.step is not None else ""
    parts = [run.at or "between two steps", steps, show_metric(run.metric), show_left(run.seconds_left)]
    prefix = f"{run.at} "
    why = f": {reason.removeprefix(prefix)}" if reason else ""
    return f"{state}{word} {', '.join(filter(None, parts))}{why}"
