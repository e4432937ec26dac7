"""Two models on the same problems: paired differences, problems won and lost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Literal

from pydantic import BaseModel, ConfigDict

from pipelines.errors import InputError
from pipelines.evaluation.outcomes import Outcome, collect
from pipelines.evaluation.records import Problem, RecordError, Response, read
from pipelines.evaluation.statistics import Figure, difference
from pipelines.evaluation.summary import SetSummary, read_summary


class Difference(BaseModel):
    """A figure of two models over the problems that both have."""

    model_config = ConfigDict(frozen=True)

    first: float
    second: float
    difference: Figure
    """second - first."""
    won: int
    """Problems on which the second model is better."""
    lost: int
    tied: int


class SetComparison(BaseModel):
    """Two models on one set."""

    model_config = ConfigDict(frozen=True)

    temperature: float
    """The same of both; the numbers of samples may differ, because every figure is unbiased."""
    metric: str
    figures: dict[str, Difference]
    problems: int
    """That both have; only these are compared."""
    only_first: int
    """Problems of which only the first model has all responses."""
    only_second: int
    changed: int
    """Problems whose expected result differs between the evaluations: they are not compared."""


class Comparison(BaseModel):
    """Two evaluations."""

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = 1
    first: str
    second: str
    """What was evaluated."""
    sets: dict[str, SetComparison]
    refused: dict[str, str]
    """Set that cannot be compared -> why."""


def compare(first: Path, second: Path) -> Comparison:
    """Compare the evaluation in `second` with that in `first`, on the sets that both have.

    Raises:
        InputError: A folder is not an evaluation, or no set can be compared.
    """
    before, after = read_summary(first), read_summary(second)
    common = [name for name in before.sets if name in after.sets]
    if not common:
        raise InputError(f"no common set: {first} has {_list(before.sets)}, {second} has {_list(after.sets)}")
    sets, refused = {}, {}
    for name in common:
        try:
            sets[name] = _compare_set(first, second, before.sets[name], after.sets[name])
        except InputError as error:
            refused[name] = str(error)
    if not sets:
        raise InputError("; ".join(refused.values()))
    for name in sorted(before.sets.keys() ^ after.sets.keys()):
        refused[name] = f"{name}: only {first if name in before.sets else second} has it"
    return Comparison(first=before.target, second=after.target, sets=sets, refused=refused)


def compare_outcomes(first: Sequence[Outcome], second: Sequence[Outcome], names: Iterable[str]) -> dict[str, Difference]:
    """Compare figures of two models.

    Args:
        first: One model's outcomes.
        second: The other's, of the same problems in the same order.
        names: The figures; those that no problem has are left out.
    """
    figures = {}
    for name in names:
        measured = ((one.measure(name), other.measure(name)) for one, other in zip(first, second, strict=True))
        pairs = [(before, after) for before, after in measured if before is not None and after is not None]
        if pairs:
            figures[name] = _difference(pairs, None if name == "score" else 1.0)
    return figures


def _difference(pairs: Sequence[tuple[float, float]], span: float | None) -> Difference:
    before, after = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    won, lost = sum(one < other for one, other in pairs), sum(one > other for one, other in pairs)
    return Difference(
        first=fmean(before),
        second=fmean(after),
        difference=difference(before, after, span),
        won=won,
        lost=lost,
        tied=len(pairs) - won - lost,
    )


def _compare_set(first: Path, second: Path, before: SetSummary, after: SetSummary) -> SetComparison:
    if before.temperature != after.temperature:
        raise InputError(
            f"{before.name}: {before.sampling} in {first}, {after.sampling} in {second}: not comparable; "
            "evaluate both at the same temperature"
        )
    one, other = _read(first, before), _read(second, after)
    both = [row for row in one if row in other]
    same = [row for row in both if one[row].truth == other[row].truth]
    if not same:
        raise InputError(f"{before.name}: {first} and {second} have no problem in common")
    names = [name for name in before.overall.figures if name in after.overall.figures]
    return SetComparison(
        temperature=before.temperature,
        metric=after.metric,
        figures=compare_outcomes([one[row] for row in same], [other[row] for row in same], names),
        problems=len(same),
        only_first=len(one) - len(both),
        only_second=len(other) - len(both),
        changed=len(both) - len(same),
    )


def _read(folder: Path, summary: SetSummary) -> dict[str, Outcome]:
    files = [folder / summary.name / name for name in ("problems.jsonl", "responses.jsonl")]
    if missing := next((file for file in files if not file.is_file()), None):
        raise InputError(f"{missing} not found; a comparison needs the responses of both evaluations")
    try:
        outcomes = collect(read(files[0], Problem), read(files[1], Response), summary.samples, str(files[1]))
    except RecordError as error:
        raise InputError(str(error)) from None
    return {each.row: each for each in outcomes.complete}


def _list(sets: Mapping[str, SetSummary]) -> str:
    return ", ".join(sets) or "none"
