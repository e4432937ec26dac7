"""The samples of a stage: their figures per step, and a choice of them for the browser, read as their files appear."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import get_args

from pipelines.records.samples import Sample, Split, read_samples, sample_steps
from pipelines.reports.catalogue import SAMPLES
from pipelines.reports.embedding import to_script_json
from pipelines.reports.page import Cause, Health
from pipelines.reports.text import one_line, show
from pipelines.reports.tracks import Track
from pipelines.trainers.base import StagePaths

LONGEST_RESPONSE = 8_000
LONGEST_PROMPT = 4_000
_LONGEST_TRUTH = 500
_LONGEST_REASON = 1_000

_MOST_A_STEP = 64
"""Samples of a step and split that can be chosen."""

_OVERHEAD = 80
"""Bytes of the fields that the page adds to a sample."""

_CAUSES = 8
_MOST_CAUSES = 1_000


@dataclass(frozen=True)
class Kept:
    """A sample that can be shown, with its texts as the page shows them."""

    rank: int
    """Place in the order in which the samples of its step and split are chosen, from 0."""
    sample: Sample
    of: int
    constant: bool
    size: int
    """Bytes that it takes in the page, with a prompt of its own."""


@dataclass
class _Totals:
    steps: int = 0
    responses: int = 0
    groups: int = 0
    constant: int = 0
    failed: int = 0
    cut: int = 0
    formed: int = 0
    with_form: int = 0
    causes: Counter[str] = field(default_factory=Counter)


class StageSamples:
    """The samples of a stage.

    Args:
        paths: The stage's.
        budget: Bytes of the samples that are kept in memory to choose from.
    """

    def __init__(self, paths: StagePaths, budget: int) -> None:
        self._paths = paths
        self._budget = budget
        self._reset()

    def _reset(self) -> None:
        self._read: dict[Split, set[int]] = defaultdict(set)
        self._kept: list[Kept] = []
        self._size = 0
        self._totals = _Totals()
        self.total = 0
        """Samples in the files."""
        self.tracks: dict[str, Track] = {}
        """The figures of the training samples over the steps."""

    def update(self) -> None:
        """Read the files that have appeared since the last call."""
        found = {split: sample_steps(self._paths, split) for split in get_args(Split)}
        if any(seen - set(found[split]) for split, seen in self._read.items()):
            self._reset()  # steps were trained again
        for split, steps in found.items():
            new = [step for step in steps if step not in self._read[split]]
            if new and split == "train" and self._read[split] and new[0] < max(self._read[split]):
                self._reset()
                return self.update()
            for step in new:
                self._read[split].add(step)
                self._add(step, list(read_samples(self._paths, split, [step])))
        return None

    def choose(self, budget: int) -> list[Kept]:
        """Return samples of at most so many bytes: of every step as many as fit, or one each of steps as close as fit."""
        return choose(self._kept, budget)

    def health(self, run: int, stage: str) -> Health | None:
        """Return the figures of all training samples; None: there are none."""
        totals = self._totals
        if not totals.responses:
            return None
        return Health(
            run=run,
            stage=stage,
            steps=totals.steps,
            responses=totals.responses,
            groups=totals.groups,
            constant=totals.constant,
            failed=totals.failed,
            cut=totals.cut,
            formed=totals.formed if totals.with_form == totals.responses else None,
            causes=[Cause(text=text, responses=count) for text, count in totals.causes.most_common(_CAUSES)],
        )

    def _add(self, step: int, samples: Sequence[Sample]) -> None:
        if not samples:
            return
        self.total += len(samples)
        groups: dict[int, list[Sample]] = defaultdict(list)
        for sample in samples:
            groups[sample.group].append(sample)
        constant = {number for number, group in groups.items() if len(group) > 1 and len({each.score for each in group}) == 1}
        if samples[0].split == "train":
            self._count(step, samples, groups, constant)
        for rank, sample in enumerate(_spread(samples)[:_MOST_A_STEP]):
            shown = _shown(sample)
            size = len(to_script_json(shown)) + _OVERHEAD
            kept = Kept(rank, shown, len(groups[sample.group]), sample.group in constant, size)
            self._kept.append(kept)
            self._size += kept.size
        if self._size > 2 * self._budget:
            self._kept = choose(self._kept, self._budget)
            self._size = sum(each.size for each in self._kept)

    def _count(self, step: int, samples: Sequence[Sample], groups: dict[int, list[Sample]], constant: set[int]) -> None:
        totals, several = self._totals, sum(len(group) > 1 for group in groups.values())
        totals.steps += 1
        totals.responses += len(samples)
        totals.groups += several
        totals.constant += len(constant)
        failed = sum(each.values.get("failed", 0.0) > 0 for each in samples)
        cut = sum(each.cut for each in samples)
        forms = [each.values["format"] for each in samples if "format" in each.values]
        totals.failed += failed
        totals.cut += cut
        totals.formed += sum(form >= 1 for form in forms)
        totals.with_form += len(forms)
        for sample in samples:
            if sample.reason and (len(totals.causes) < _MOST_CAUSES or sample.reason in totals.causes):
                totals.causes[one_line(sample.reason, 120)] += 1
        shares = {"failed": failed / len(samples), "cut": cut / len(samples)}
        if several:
            shares["constant"] = len(constant) / several
        if forms:
            shares["format"] = statistics.fmean(forms)
        shares["calls"] = statistics.fmean(each.calls for each in samples)
        for name in sorted({name for each in samples for name in each.values} - {"failed", "format", "has_accuracy"}):
            shares[f"value/{name}"] = statistics.fmean(each.values[name] for each in samples if name in each.values)
        for name, value in shares.items():
            self.tracks.setdefault(SAMPLES + name, Track()).add(step, value)


def choose(kept: Sequence[Kept], budget: int) -> list[Kept]:
    """Return samples of at most so many bytes, in the order given.

    Of each step and split the same number is taken, in the order of their ranks; if not even the first of every step fits,
    those of every second step, every fourth, and so on.
    """
    if sum(each.size for each in kept) <= budget:
        return list(kept)
    sizes = Counter[int]()
    for each in kept:
        sizes[each.rank] += each.size
    taken, ranks = 0, 0
    while ranks in sizes and taken + sizes[ranks] <= budget:
        taken += sizes[ranks]
        ranks += 1
    if ranks:
        return [each for each in kept if each.rank < ranks]
    stride, first = 1, [each for each in kept if each.rank == 0]
    while sum(each.size for each in first) > budget and len(first) > 1:
        stride *= 2
        first = [each for each in first if _place(each) % stride == 0]
    return first if sum(each.size for each in first) <= budget else []


def _place(kept: Kept) -> int:
    return kept.sample.step


def _spread(samples: Sequence[Sample]) -> list[Sample]:
    """Return samples in the order of choice: failed ones, then the best, the worst, the middle, the quarters … by score."""
    failed = [each for each in samples if each.values.get("failed", 0.0) > 0]
    ordered = sorted((each for each in samples if each.values.get("failed", 0.0) <= 0), key=lambda each: -each.score)
    return failed[:1] + [ordered[place] for place in _halve(len(ordered))] + failed[1:]


def _halve(count: int) -> Iterator[int]:
    """Yield all places: the first, the last, the middle, the middles of both halves …"""
    if not count:
        return
    yield 0
    if count > 1:
        yield count - 1
    spans = [(0, count - 1)]
    while spans:
        halves: list[tuple[int, int]] = []
        for begin, end in spans:
            if end - begin > 1:
                middle = (begin + end) // 2
                yield middle
                halves += [(begin, middle), (middle, end)]
        spans = halves


def _shown(sample: Sample) -> Sample:
    """Return a sample with its texts as they are shown, the long ones without their middle."""
    return Sample(
        split=sample.split,
        step=sample.step,
        source=one_line(sample.source),
        row=one_line(sample.row),
        group=sample.group,
        number=sample.number,
        prompt=show(sample.prompt, LONGEST_PROMPT),
        response=show(sample.response, LONGEST_RESPONSE),
        score=sample.score,
        values={one_line(name, 60): value for name, value in sample.values.items()},
        reason=show(sample.reason, _LONGEST_REASON),
        tokens=sample.tokens,
        cut=sample.cut,
        truth=show(sample.truth, _LONGEST_TRUTH),
        calls=sample.calls,
    )


def count_text(chosen: Iterable[Kept], total: int) -> str:
    """Return which samples are in the page."""
    shown = list(chosen)
    if len(shown) == total:
        return f"all {total:,} samples that the run kept"
    ranks = max((each.rank for each in shown), default=0) + 1
    return f"{len(shown):,} of the {total:,} samples that the run kept: at most {ranks} of each step and split"
