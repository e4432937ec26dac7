"""Holding problems out of training: which problems validate is a function of the seed and their names alone."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Sequence
from typing import TypeVar

from preprocess.errors import SourceError
from preprocess.rows import Row

RowT = TypeVar("RowT", bound=Row)


def hold_out(problems: Iterable[str], fraction: float, seed: int) -> frozenset[str]:
    """The problems that validate: at least one, and at least one is left to train on.

    The same problems, fraction and seed give the same choice, so that stages which share a source share the split.

    Raises:
        SourceError: there are fewer than two problems.
    """
    names = sorted(set(problems))
    if len(names) < 2:
        raise SourceError(f"{len(names)} problems cannot be split into training and validation; give validation sources")
    count = min(max(1, math.floor(fraction * len(names) + 0.5)), len(names) - 1)
    return frozenset(sorted(names, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())[:count])


def split(rows: Sequence[RowT], fraction: float, seed: int) -> tuple[list[RowT], list[RowT]]:
    """Training and validation rows, each in the order given; no problem is in both."""
    held = hold_out((row.problem for row in rows), fraction, seed)
    return [row for row in rows if row.problem not in held], [row for row in rows if row.problem in held]
