"""The responses to each problem, matched and counted: problems and responses that do not match are refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

import msgspec
import xxhash

from pipelines.errors import InputError
from pipelines.evaluation.records import Problem, Response
from pipelines.evaluation.statistics import pass_at_k
from rewards.suggestions import suggestion

PASSED = 1.0
"""The least accuracy of a response that passes."""


@dataclass(frozen=True)
class Outcome:
    """A problem with all of its responses."""

    row: str
    tags: dict[str, str]
    truth: str
    """Digest of what its reward compares with: two evaluations had the same problem."""
    responses: tuple[Response, ...]
    """Without their texts, in the order of their samples."""
    accuracies: tuple[float, ...] | None
    """Of each response; None if the reward reports none."""
    shares: tuple[float, ...] | None
    """Of tests passed by each response; None if the reward has no tests."""

    @property
    def passed(self) -> int | None:
        """How many responses pass."""
        return None if self.accuracies is None else sum(each >= PASSED for each in self.accuracies)

    def measure(self, figure: str) -> float | None:
        """Return the problem's part in a figure: `pass@K`, `accuracy`, `tests` or `score`; None if it has none."""
        if figure == "score":
            return fmean(each.score for each in self.responses)
        if figure == "tests":
            return None if self.shares is None else fmean(self.shares)
        if self.accuracies is None or self.passed is None:
            return None
        if figure == "accuracy":
            return fmean(self.accuracies)
        return pass_at_k(len(self.responses), self.passed, int(figure.removeprefix("pass@")))


@dataclass(frozen=True)
class Outcomes:
    """The problems of a set that have all of their responses, in the order of the set."""

    complete: tuple[Outcome, ...]
    incomplete: tuple[str, ...]
    """Rows without one or more of their responses: they are in no figure."""


def collect(problems: Iterable[Problem], responses: Iterable[Response], samples: int, where: str = "responses") -> Outcomes:
    """Match responses with their problems.

    A response that could not be scored, or whose reward reports no accuracy or share of tests for it, has 0 if the reward
    reports one for other problems of its data source: leaving it out would raise the figure.

    Args:
        samples: Responses per problem.
        where: The name of the responses in error messages.

    Raises:
        InputError: A row occurs twice, or a response is of no row, is not one of the samples, or occurs twice.
    """
    rows: dict[str, Problem] = {}
    for problem in problems:
        if problem.row in rows:
            raise InputError(f"row {problem.row!r} occurs twice among the problems of {where}")
        rows[problem.row] = problem
    found: dict[str, dict[int, Response]] = {row: {} for row in rows}
    for number, response in enumerate(responses, 1):
        place, row, sample = f"{where}:{number}", response.row, response.sample
        if row not in found:
            raise InputError(f"{place}: no problem has the row {row!r}{suggestion(row, rows)}")
        if not 0 <= sample < samples:
            raise InputError(f"{place}: sample {sample} of row {row!r}; expected 0 to {samples - 1}: {samples} per problem")
        if sample in found[row]:
            raise InputError(f"{place}: a second sample {sample} of row {row!r}")
        # Texts may be large, and no figure needs them.
        found[row][sample] = msgspec.structs.replace(response, text="", reason=None)
    every = [(rows[row], tuple(each[sample] for sample in sorted(each))) for row, each in found.items()]
    complete = [(problem, each) for problem, each in every if len(each) == samples]
    accurate = {problem.data_source for problem, each in complete if any(one.accuracy is not None for one in each)}
    tested = {problem.data_source for problem, each in complete if any(one.share is not None for one in each)}
    return Outcomes(
        tuple(
            Outcome(
                row=problem.row,
                tags=dict(problem.tags),
                truth=xxhash.xxh3_128_hexdigest(problem.ground_truth.encode()),
                responses=each,
                accuracies=_fill([one.accuracy for one in each]) if problem.data_source in accurate else None,
                shares=_fill([one.share for one in each]) if problem.data_source in tested else None,
            )
            for problem, each in complete
        ),
        tuple(problem.row for problem, each in every if len(each) != samples),
    )


def _fill(values: Sequence[float | None]) -> tuple[float, ...]:
    return tuple(value or 0.0 for value in values)
