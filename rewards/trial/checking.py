"""Check a reward before training: right answers must get the best score, known cheats the worst."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rewards.errors import RewardError, one_line
from rewards.parsing.answers import make_response
from rewards.registry import Free, Reward
from rewards.sandbox import SandboxError
from rewards.trial.free import NOTHING, FreeReport, find_free, report_free
from rewards.trial.offline import Row, Scored, score, score_in_turn

REFERENCE, EMPTY = "reference", "empty answer"
_AGAIN, _FREE = "reference again", "free: "
_EMPTY_RESPONSES = ("", make_response(""))
_ACCURATE = 1.0 - 1e-9


@dataclass(frozen=True)
class Finding:
    """A wrong score."""

    row: Row
    what: str
    """`reference`, `cheat: <name>`, or `empty answer` if the row fails for every response."""
    scored: Scored
    expected: str

    @property
    def reason(self) -> str:
        """Why, in one line."""
        return self.scored.failed or "; ".join(self.scored.reasons)


@dataclass(frozen=True)
class CheckReport:
    """The result of a check."""

    rows: int
    references: int
    """Rows with a reference solution."""
    cheats: int
    """Cheats scored, over all rows."""
    findings: tuple[Finding, ...]
    constant: float | None = None
    """The score of all responses, including empty ones; None if they differ."""
    free: tuple[FreeReport, ...] = ()
    """What answers that cost nothing earn, per source."""


def sample_rows(rows: Sequence[Row], count: int | None) -> list[Row]:
    """Return at most `count` rows, spread evenly: similar rows are often next to each other in a file."""
    if count is None or count >= len(rows):
        return list(rows)
    return [rows[number * len(rows) // count] for number in range(count)]


def check_rows(
    reward: Reward,
    options: Mapping[str, Any],
    rows: Sequence[Row],
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> CheckReport:
    """Score each row's reference solution, every cheat known for it, and the answers that cost nothing.

    A reference must have accuracy 1.0 (if the reward returns none: a higher score than an empty answer). A cheat must have
    accuracy 0.0 and no higher score than an empty answer. Each cheat is scored directly after the reference in the same sandbox
    worker, where it may find what the reference left.

    Args:
        reward: the reward.
        options: its options, as `read_options` returns them.
        rows: the rows.
        progress: called with the number of scored responses and their total.

    Raises:
        RewardError: the reward cannot work here, for example because a package is missing.
        SandboxError: the sandbox failed.
    """
    trials = [_Trial.of(reward, row) for row in rows]
    groups = [[(trial.row, text) for _, text in trial.responses] for trial in trials]
    finished, total = itertools.count(1), sum(map(len, groups))
    scores = _score(reward, options, groups, lambda: progress(next(finished), total), any(each.reference for each in trials))
    pairs = list(zip(trials, scores, strict=True))
    findings = [finding for trial, scored in pairs for finding in trial.judge(scored)]
    distinct = {each.score for group in scores for each in group if each.failed is None}
    free = [(trial.row, trial.free, trial.read_free(scored)) for trial, scored in pairs if trial.free]
    return CheckReport(
        rows=len(rows),
        references=sum(trial.reference is not None for trial in trials),
        cheats=sum(len(trial.cheats) for trial in trials),
        findings=tuple(findings),
        constant=distinct.pop() if len(distinct) == 1 else None,
        free=report_free(free),
    )


def _score(
    reward: Reward,
    options: Mapping[str, Any],
    groups: Sequence[Sequence[tuple[Row, str]]],
    progress: Callable[[], object],
    in_turn: bool,
) -> list[list[Scored]]:
    if in_turn:
        return score_in_turn(reward, options, groups, progress)
    scores = iter(score(reward, options, itertools.chain.from_iterable(groups), progress))
    return [list(itertools.islice(scores, len(group))) for group in groups]


@dataclass(frozen=True)
class _Trial:
    """What is tried on one row."""

    row: Row
    reference: str | None = None
    cheats: Mapping[str, str] = field(default_factory=dict)
    free: Free | None = None
    broken: str = ""
    """Why the reference and the cheats cannot be written."""

    @classmethod
    def of(cls, reward: Reward, row: Row) -> _Trial:
        try:
            reference = reward.reference(row.ground_truth, row.extra_info) if reward.reference else None
            cheats = reward.cheats(row.ground_truth, row.extra_info) if reward.cheats else {}
        except (RewardError, SandboxError):
            raise
        except Exception as error:
            # Scored as well: the reward itself may explain better what is wrong with the row.
            return cls(row, broken=one_line(error))
        return cls(row, reference, cheats, find_free(reward, row))

    @property
    def responses(self) -> Iterator[tuple[str, str]]:
        """What is tried and the responses, in their order; the reference again before each cheat but the first."""
        yield from ((EMPTY, text) for text in (_EMPTY_RESPONSES[:1] if self.broken else _EMPTY_RESPONSES))
        if self.free is not None:
            yield f"{_FREE}{NOTHING}", self.free.nothing
            yield from ((f"{_FREE}{name}", text) for name, text in self.free.constants.items())
        if self.reference is not None:
            yield REFERENCE, self.reference
        for number, (name, text) in enumerate(self.cheats.items()):
            if number and self.reference is not None:
                yield _AGAIN, self.reference
            yield f"cheat: {name}", text

    def judge(self, scores: Sequence[Scored]) -> Iterator[Finding]:
        """Yield the wrong scores; of a row that fails for an empty answer only this."""
        tried = list(zip((what for what, _ in self.responses), scores, strict=True))
        empty = [scored for what, scored in tried if what == EMPTY]
        for scored in empty:
            if failed := scored.failed or self.broken:
                yield Finding(self.row, EMPTY, replace(scored, failed=failed), "a score")
                return
        worst = max(scored.score for scored in empty)
        for what, scored in tried:
            expected = None if what in (EMPTY, _AGAIN) or what.startswith(_FREE) else _find_expected(what, scored, worst)
            if expected is not None:
                yield Finding(self.row, what, scored, expected)

    def read_free(self, scores: Sequence[Scored]) -> dict[str, Scored]:
        """Return the scores of the answers that cost nothing."""
        tried = zip((what for what, _ in self.responses), scores, strict=True)
        return {what.removeprefix(_FREE): scored for what, scored in tried if what.startswith(_FREE)}


def _find_expected(what: str, scored: Scored, worst: float) -> str | None:
    """Return what a score should have been; None if it is right."""
    if scored.failed is not None:
        return "a score"
    if what == REFERENCE:
        if scored.accuracy is None:
            return None if scored.score > worst else f"a score above {worst:g}, which an empty answer gets"
        return None if scored.accuracy >= _ACCURATE else "accuracy 1"
    if scored.accuracy is not None and scored.accuracy > 0.0:
        return "accuracy 0"
    return None if scored.score <= worst + 1e-9 else f"a score of at most {worst:g}, as an empty answer gets"
