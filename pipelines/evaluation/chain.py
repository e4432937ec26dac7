"""The models of a chain on the same sets, each with its change from the one before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import InputError
from pipelines.evaluation.comparison import Comparison, compare
from pipelines.evaluation.summary import Summary, read_summary


@dataclass(frozen=True)
class Link:
    """A model of the chain."""

    name: str
    """`base`, or the stage that trained it."""
    summary: Summary
    change: Comparison | None = None
    """From the model before; None for the first, and if no set can be compared."""
    total: Comparison | None = None
    """From the first model; None for the first two."""


def read_chain(evaluations: Sequence[tuple[str, Path]]) -> list[Link]:
    """Read the evaluations of a chain.

    Args:
        evaluations: The name of each model and the folder of its evaluation, in the order of training.

    Raises:
        InputError: A folder is not an evaluation.
    """
    links: list[Link] = []
    for index, (name, folder) in enumerate(evaluations):
        change = _compare(evaluations[index - 1][1], folder) if index else None
        total = _compare(evaluations[0][1], folder) if index > 1 else None
        links.append(Link(name, read_summary(folder), change, total))
    return links


def _compare(first: Path, second: Path) -> Comparison | None:
    try:
        return compare(first, second)
    except InputError:
        return None  # the table shows both values without a difference
