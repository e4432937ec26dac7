"""What is measured of some problems: figures, bands of scores, shares of responses, lengths."""

from __future__ import annotations

import statistics
from bisect import bisect
from collections import Counter
from collections.abc import Iterable, Sequence
from math import ceil

from pydantic import BaseModel, ConfigDict, computed_field

from pipelines.evaluation.outcomes import Outcome
from pipelines.evaluation.records import Response
from pipelines.evaluation.statistics import Figure, mean

BANDS = ("very poor", "poor", "fair", "good", "excellent")
"""VERL-SQA's bands of the share of tests passed: from 0, 0.2, 0.4, 0.6 and 0.8; a bound belongs to the band above it."""
_BOUNDS = (0.2, 0.4, 0.6, 0.8)


class Share(BaseModel):
    """How many of some responses or problems."""

    model_config = ConfigDict(frozen=True)

    count: int
    of: int

    @computed_field  # type: ignore[prop-decorator]
    @property
    def share(self) -> float:
        """Return the share, between 0 and 1."""
        return self.count / self.of


class Lengths(BaseModel):
    """The number of tokens per response."""

    model_config = ConfigDict(frozen=True)

    mean: float
    median: float
    p90: int
    """90 % of the responses have at most this many."""
    max: int


class Measures(BaseModel):
    """All that is measured of the problems of a set or of a group of them."""

    model_config = ConfigDict(frozen=True)

    problems: int
    figures: dict[str, Figure]
    """`pass@K`, `accuracy`, `tests` (the share of tests passed) and `score`, as far as the reward reports them."""
    passed: dict[int, int] | None = None
    """How many responses of a problem pass -> problems."""
    varied: Share
    """Problems whose responses have different scores."""
    bands: dict[str, int] | None = None
    """Band of the share of tests (`BANDS`) -> responses."""
    cut: Share
    """Responses that were cut at the limit of tokens or tool turns."""
    has_form: Share | None = None
    """Responses in the asked form, such as a code block, of those whose reward tells."""
    failed: Share
    """Responses that could not be scored. They count as wrong."""
    tokens: Lengths
    calls: float = 0.0
    """Mean calls of the tool per response."""


def figure_names(ks: Iterable[int]) -> list[str]:
    """Return the names of all figures, in the order in which they are shown."""
    return [*(f"pass@{k}" for k in sorted(set(ks))), "accuracy", "tests", "score"]


def measure(outcomes: Sequence[Outcome], ks: Iterable[int]) -> Measures:
    """Measure some problems; at least one."""
    responses = [each for outcome in outcomes for each in outcome.responses]
    formed = [each.has_form for each in responses if each.has_form is not None]
    passed = Counter(outcome.passed for outcome in outcomes if outcome.passed is not None)
    shares = [share for outcome in outcomes for share in outcome.shares or ()]
    varied = sum(len({each.score for each in outcome.responses}) > 1 for outcome in outcomes)
    return Measures(
        problems=len(outcomes),
        figures=_figures(outcomes, ks),
        passed=dict(sorted(passed.items())) or None,
        varied=Share(count=varied, of=len(outcomes)),
        bands=count_bands(shares) if shares else None,
        cut=_share(responses, [each.finish != "stop" for each in responses]),
        has_form=Share(count=sum(formed), of=len(formed)) if formed else None,
        failed=_share(responses, [each.failed is not None for each in responses]),
        tokens=_lengths([each.tokens for each in responses]),
        calls=statistics.fmean(each.calls for each in responses),
    )


def count_bands(shares: Iterable[float]) -> dict[str, int]:
    """Count shares of tests by band."""
    counts = dict.fromkeys(BANDS, 0)
    for share in shares:
        counts[BANDS[bisect(_BOUNDS, share)]] += 1
    return counts


def _figures(outcomes: Sequence[Outcome], ks: Iterable[int]) -> dict[str, Figure]:
    figures = {}
    for name in figure_names(ks):
        values = [value for outcome in outcomes if (value := outcome.measure(name)) is not None]
        if values:
            # A score has no general bounds.
            figures[name] = mean(values, None, None) if name == "score" else mean(values)
    return figures


def _share(responses: Sequence[Response], hits: Sequence[bool]) -> Share:
    return Share(count=sum(hits), of=len(responses))


def _lengths(tokens: Sequence[int]) -> Lengths:
    ordered = sorted(tokens)
    return Lengths(
        mean=statistics.fmean(ordered),
        median=statistics.median(ordered),
        p90=ordered[ceil(0.9 * len(ordered)) - 1],
        max=ordered[-1],
    )
