"""Numbers over the problems of a set: pass@k without bias, means with a 95 % interval, paired differences."""

from __future__ import annotations

import random
import statistics
from collections.abc import Sequence
from functools import lru_cache
from math import comb

from pydantic import BaseModel, ConfigDict

from pipelines.errors import InputError
from pipelines.evaluation.sampling import check_sampling

RESAMPLES = 2000
_SEED = 20210707
_OUTSIDE = 0.025
"""Share of the distribution on each side of an interval."""


class Figure(BaseModel):
    """A mean over problems."""

    model_config = ConfigDict(frozen=True)

    value: float
    low: float
    """Of the 95 % interval."""
    high: float
    problems: int

    @property
    def has_sign(self) -> bool:
        """Whether 0 is outside the interval: a difference is larger than chance."""
        return self.low > 0 or self.high < 0


def pass_at_k(samples: int, passed: int, k: int) -> float:
    """Return the unbiased estimate of the probability that one of `k` samples passes (Chen et al. 2021).

    The binomials are whole numbers of any size, so only the one division is rounded.

    Raises:
        InputError: `k` is larger than the number of samples.
    """
    if not 0 <= passed <= samples:
        raise ValueError(f"{passed} of {samples} samples passed")
    check_sampling(samples, 1, (k,))
    groups = comb(samples, k)
    return (groups - comb(samples - passed, k)) / groups


def mean(values: Sequence[float], lowest: float | None = 0.0, highest: float | None = 1.0) -> Figure:
    """Return the mean of one value per problem, with the 95 % percentile interval of a bootstrap over problems.

    The same values give the same interval.

    Args:
        values: One per problem, in the order of the set.
        lowest: The least possible value; None: not known.
        highest: The greatest possible value; None: not known.

    Raises:
        InputError: There is no value.
    """
    if not values:
        raise InputError("no problem to compute a mean of")
    value = statistics.fmean(values)
    if min(values) < max(values):
        low, high = _interval(tuple(values))
    else:
        # Resampling equal values gives no interval. A value that occurs in a share p of all problems is missing from n of
        # them with the probability (1 - p) ** n: larger shares than this are ruled out.
        unseen = 1 - _OUTSIDE ** (1 / len(values))
        low, high = (value if end is None else value + unseen * (end - value) for end in (lowest, highest))
    return Figure(value=value, low=low, high=high, problems=len(values))


def difference(first: Sequence[float], second: Sequence[float], span: float | None = 1.0) -> Figure:
    """Return the mean of second - first over the same problems, with its interval.

    Args:
        first: One value per problem.
        second: The same problems in the same order.
        span: The largest possible difference; None: not known.
    """
    changes = [after - before for before, after in zip(first, second, strict=True)]
    return mean(changes, None if span is None else -span, span)


@lru_cache(maxsize=128)
def _interval(values: tuple[float, ...]) -> tuple[float, float]:
    draw, count = random.Random(_SEED).choices, len(values)
    means = [sum(draw(values, k=count)) / count for _ in range(RESAMPLES)]
    ends = statistics.quantiles(means, n=round(1 / _OUTSIDE), method="inclusive")
    return ends[0], ends[-1]
