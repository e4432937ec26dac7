"""Compute the summary of a set from its problems and responses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipelines.errors import InputError
from pipelines.evaluation.measures import Measures, Share, measure
from pipelines.evaluation.outcomes import Outcome, collect
from pipelines.evaluation.records import Problem, RecordError, Response, read
from pipelines.evaluation.sampling import check_sampling
from pipelines.evaluation.summary import SetSummary, write

_CAUSES = 5
_KS = (1, 10, 100)


def summarise(
    problems: Iterable[Problem],
    responses: Iterable[Response],
    *,
    name: str,
    samples: int,
    temperature: float,
    ks: Sequence[int] | None = None,
    metric: str | None = None,
    where: str = "responses",
) -> SetSummary:
    """Compute the figures of a set.

    Args:
        name: The set's name.
        samples: Responses per problem.
        temperature: 0: greedy.
        ks: The `k` of each pass@k; default: 1, 10, 100 and the number of samples, as far as there are samples.
        metric: The figure by which models are compared; default: the first, `pass@1` if the reward reports accuracy.
        where: The name of the responses in error messages.

    Raises:
        InputError: Responses and problems do not match, no problem is complete, no response could be scored, a k is larger
            than the number of samples, or the set has no such metric.
    """
    ks = default_ks(samples) if ks is None else ks
    check_sampling(samples, temperature, ks)
    outcomes = collect(problems, responses, samples, where)
    total = len(outcomes.complete) + len(outcomes.incomplete)
    if not outcomes.complete:
        raise InputError(f"{where}: none of the {total:,} problems of {name} has {samples} scored responses")
    overall = measure(outcomes.complete, ks)
    failures = Counter(each.failed for one in outcomes.complete for each in one.responses if each.failed is not None)
    if overall.failed.count == overall.failed.of:
        raise InputError(
            f"{where}: none of the {overall.failed.of:,} responses could be scored: {failures.most_common(1)[0][0]}"
        )
    chosen = metric or next(iter(overall.figures))
    if chosen == "accuracy" and chosen not in overall.figures:
        chosen = "score"  # the only figure of rewards that report no accuracy
    summary = SetSummary(
        name=name,
        samples=samples,
        temperature=temperature,
        metric=chosen,
        incomplete=Share(count=len(outcomes.incomplete), of=total),
        overall=overall,
        groups=_group(outcomes.complete, ks),
        failures=dict(failures.most_common(_CAUSES)),
    )
    summary.figure(summary.metric)
    return summary


def default_ks(samples: int) -> list[int]:
    """Return 1, 10 and 100, as far as there are as many samples, and the number of samples."""
    return sorted({*(k for k in _KS if k <= samples), samples})


def summarise_folder(
    folder: Path, *, samples: int, temperature: float, ks: Sequence[int] | None = None, metric: str | None = None
) -> SetSummary:
    """Summarise the problems and responses of a set's folder and write its summary.

    Raises:
        InputError: As `summarise`; or a line is not a record.
    """
    problems, responses = folder / "problems.jsonl", folder / "responses.jsonl"
    try:
        summary = summarise(
            read(problems, Problem),
            read(responses, Response),
            name=folder.name,
            samples=samples,
            temperature=temperature,
            ks=ks,
            metric=metric,
            where=str(responses),
        )
    except RecordError as error:
        raise InputError(str(error)) from None
    write(folder, summary)
    return summary


def _group(outcomes: Sequence[Outcome], ks: Sequence[int]) -> dict[str, dict[str, Measures]]:
    groups: dict[str, dict[str, list[Outcome]]] = {}
    for outcome in outcomes:
        for tag, value in outcome.tags.items():
            groups.setdefault(tag, {}).setdefault(value, []).append(outcome)
    return {tag: {value: measure(each, ks) for value, each in sorted(values.items())} for tag, values in groups.items()}
