"""The points of one metric over the steps of a stage, thinned as they grow."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from pipelines.records.metrics import Row
from pipelines.reports.page import Odd, Summary

LONGEST = 2000
"""Points kept of a metric before and after it is thinned: two for each of 1,000 spans of steps, the least and the greatest."""

_LARGEST = 10**300
"""A larger whole number is no floating-point number."""

_ODD = 20
"""Values that are infinite or not a number, of which the steps are kept."""


class Track:
    """The points of a metric, in the order of the steps. The summary is of all points, also of those thinned out."""

    def __init__(self) -> None:
        self.xs: list[int] = []
        self.ys: list[float] = []
        self.total = 0
        """Points, those thinned out included."""
        self._first: tuple[int, float] | None = None
        self._last: tuple[int, float] = (0, 0.0)
        self._low: tuple[float, int] = (math.inf, 0)
        self._high: tuple[float, int] = (-math.inf, 0)
        self._odd: list[Odd] = []
        self._odd_total = 0
        self._sum = 0.0

    def add(self, step: int, value: float) -> None:
        """Add the value at a step, which is after all others."""
        if not math.isfinite(value):
            self._odd_total += 1
            if len(self._odd) < _ODD:
                self._odd.append(Odd(step=step, value="not a number" if math.isnan(value) else "infinite"))
            return
        self.total += 1
        self._sum += value
        value = float(f"{value:.5g}")
        if self._first is None:
            self._first = step, value
        self._last = step, value
        if value < self._low[0]:
            self._low = value, step
        if value > self._high[0]:
            self._high = value, step
        self.xs.append(step)
        self.ys.append(value)
        if len(self.xs) > 2 * LONGEST:
            self.xs, self.ys = thin(self.xs, self.ys, LONGEST)

    @property
    def summary(self) -> Summary:
        """The first, last, least and greatest value."""
        first_step, first = self._first or (0, None)
        return Summary(
            points=self.total,
            mean=float(f"{self._sum / self.total:.5g}") if self.total else None,
            first=first,
            first_step=first_step,
            last=self._last[1] if self.total else None,
            last_step=self._last[0],
            low=self._low[0] if self.total else None,
            low_step=self._low[1],
            high=self._high[0] if self.total else None,
            high_step=self._high[1],
            odd=tuple(self._odd),
            odd_total=self._odd_total,
        )

    @property
    def is_constant(self) -> bool:
        """Whether all values are the same."""
        return self._low[0] == self._high[0]

    @property
    def is_zero(self) -> bool:
        """Whether all values are 0."""
        return self.is_constant and self._low[0] == 0


def thin(xs: Sequence[int], ys: Sequence[float], longest: int) -> tuple[list[int], list[float]]:
    """Return at most so many of the points: the first, the last, and the least and the greatest of each span of steps."""
    if len(xs) <= longest or longest < 4:
        return list(xs), list(ys)
    spans = (longest - 2) // 2
    kept = {0, len(xs) - 1}
    for number in range(spans):
        begin, end = number * len(xs) // spans, (number + 1) * len(xs) // spans
        kept.add(min(range(begin, end), key=ys.__getitem__))
        kept.add(max(range(begin, end), key=ys.__getitem__))
    places = sorted(kept)
    return [xs[place] for place in places], [ys[place] for place in places]


def add_rows(tracks: dict[str, Track], rows: Iterable[Row]) -> None:
    """Add the metrics of steps to their tracks."""
    for row in rows:
        if not math.isfinite(row["step"]):
            continue
        step = int(row["step"])
        for name, value in row.items():
            if name == "step" or isinstance(value, bool) or not isinstance(value, int | float):
                continue
            if (track := tracks.get(name)) is None:
                track = tracks[name] = Track()
            track.add(step, math.inf if isinstance(value, int) and abs(value) > _LARGEST else value)
