"""What answers that cost nothing earn on the rows of a source."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from rewards.registry import Free, Reward
from rewards.trial.offline import Row, Scored

NOTHING = "nothing"


@dataclass(frozen=True)
class FreeReport:
    """What the rows of one source give away. Earnings are mean accuracies over these rows."""

    source: str
    rows: int
    nothing: float
    """What a program earns that outputs nothing, or whose function returns nothing."""
    constant: str
    """The answer, the same for every input of every row, that earns most; empty if none earns anything."""
    constant_earns: float
    row_constant_earns: float
    """What the best constant of each row earns."""
    shown: int
    """Rows whose answers can be copied from the prompt."""
    blank: int
    """Rows with a blank expected output."""


def find_free(reward: Reward, row: Row) -> Free | None:
    """Return what a row gives away; None if the reward does not know, or the row is broken."""
    try:
        return reward.free(row.ground_truth, row.extra_info, row.prompt) if reward.free else None
    except Exception:
        return None  # scoring the row explains better what is wrong with it


def report_free(found: Sequence[tuple[Row, Free, Mapping[str, Scored]]]) -> tuple[FreeReport, ...]:
    """Summarize by source.

    Args:
        found: rows, what they give away, and the scores of these answers: those of `constants` and `NOTHING`.
    """
    by_source: dict[str, list[tuple[Free, dict[str, float]]]] = defaultdict(list)
    for row, free, scores in found:
        if all(each.failed is None for each in scores.values()):
            earned = {name: each.score if each.accuracy is None else each.accuracy for name, each in scores.items()}
            by_source[row.data_source].append((free, earned))
    return tuple(_summarize(source, rows) for source, rows in by_source.items())


def _summarize(source: str, rows: Sequence[tuple[Free, Mapping[str, float]]]) -> FreeReport:
    totals: dict[str, float] = defaultdict(float)
    for _, earned in rows:
        for name, value in earned.items():
            totals[name] += value
    constant = max(totals, key=lambda name: totals[name])
    return FreeReport(
        source=source,
        rows=len(rows),
        nothing=totals[NOTHING] / len(rows),
        constant=constant if totals[constant] > 0 else "",
        constant_earns=totals[constant] / len(rows),
        row_constant_earns=fmean(max(earned.values()) for _, earned in rows),
        shown=sum(free.shown for free, _ in rows),
        blank=sum(free.blank for free, _ in rows),
    )
