"""Check a reward before training: right answers must get the best score, known cheats the worst."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rewards.errors import RewardError, one_line
from rewards.parsing.answers import make_response
from rewards.registry import Reward
from rewards.sandbox import SandboxError
from rewards.trial.offline import Row, Scored, score

REFERENCE, EMPTY = "reference", "empty answer"
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
    """Score each row's reference solution and every cheat known for it.

    A reference must have accuracy 1.0 (if the reward returns none: a higher score than an empty answer). A cheat must have
    accuracy 0.0 and no higher score than an empty answer.

    Args:
        reward: the reward.
        options: its options, as `read_options` returns them.
        rows: the rows.
        progress: called with the number of scored responses and their total.

    Raises:
        RewardError: the reward cannot work here, for example because a package is missing.
        SandboxError: the sandbox failed.
    """
    broken: dict[int, str] = {}
    items: list[tuple[Row, str, str]] = []
    for row in rows:
        try:
            reference = reward.reference(row.ground_truth, row.extra_info) if reward.reference else None
            cheats = reward.cheats(row.ground_truth, row.extra_info) if reward.cheats else {}
        except (RewardError, SandboxError):
            raise
        except Exception as error:
            # Scored as well: the reward itself may explain better what is wrong with the row.
            broken[row.index] = one_line(error)
            items.append((row, EMPTY, ""))
            continue
        items += [(row, EMPTY, text) for text in _EMPTY_RESPONSES]
        items += [(row, REFERENCE, reference)] if reference is not None else []
        items += [(row, f"cheat: {name}", text) for name, text in cheats.items()]
    finished = itertools.count(1)
    scores = score(reward, options, [(row, text) for row, _, text in items], lambda: progress(next(finished), len(items)))
    findings: list[Finding] = []
    worst: dict[int, float] = {}
    failed_rows: set[int] = set()
    for (row, what, _), scored in zip(items, scores, strict=True):
        if row.index in failed_rows:
            continue  # one finding is enough
        if what != EMPTY:
            if (expected := _find_expected(what, scored, worst[row.index])) is not None:
                findings.append(Finding(row, what, scored, expected))
        elif failed := scored.failed or broken.get(row.index):
            failed_rows.add(row.index)
            findings.append(Finding(row, EMPTY, replace(scored, failed=failed), "a score"))
        else:
            worst[row.index] = max(worst.get(row.index, scored.score), scored.score)
    distinct = {each.score for each in scores if each.failed is None}
    kinds = [what for _, what, _ in items]
    references, empty = kinds.count(REFERENCE), kinds.count(EMPTY)
    constant = distinct.pop() if len(distinct) == 1 else None
    return CheckReport(len(rows), references, len(items) - references - empty, tuple(findings), constant)


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
