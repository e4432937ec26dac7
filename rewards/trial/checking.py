"""Checking a reward before anything is trained on it: right answers must get the best mark, known cheats the worst."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rewards.errors import RewardError
from rewards.parsing.answers import make_response
from rewards.registry import Reward
from rewards.sandbox import SandboxError
from rewards.scoring.failures import one_line
from rewards.trial.offline import Row, Scored, score

REFERENCE, EMPTY = "reference", "empty answer"
_NOTHING = ("", make_response(""))
_ACCURATE = 1.0 - 1e-9


@dataclass(frozen=True)
class Finding:
    """A mark that is not what it must be."""

    row: Row
    what: str
    """`reference`, `cheat: <name>`, or `empty answer` where a row fails whatever is answered."""
    scored: Scored
    expected: str

    @property
    def reason(self) -> str:
        """Why, in one line."""
        return self.scored.failed or "; ".join(self.scored.reasons)


@dataclass(frozen=True)
class CheckReport:
    """What a check came to."""

    rows: int
    references: int
    """Rows with a reference solution."""
    cheats: int
    """Cheats tried, over all rows."""
    findings: tuple[Finding, ...]
    constant: float | None = None
    """The one score that every response got, empty ones too; None where they differ."""


def pick(rows: Sequence[Row], count: int | None) -> list[Row]:
    """At most `count` rows, spread evenly over all: one file's rows lie together by kind."""
    if count is None or count >= len(rows):
        return list(rows)
    return [rows[place * len(rows) // count] for place in range(count)]


def check_rows_blocking(
    reward: Reward,
    options: Mapping[str, Any],
    rows: Sequence[Row],
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> CheckReport:
    """`check_rows` for code outside an event loop."""
    return asyncio.run(check_rows(reward, options, rows, progress))


async def check_rows(
    reward: Reward,
    options: Mapping[str, Any],
    rows: Sequence[Row],
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> CheckReport:
    """Scores each row's reference solution and every cheat that the reward knows of.

    A reference must have accuracy 1.0 (of a reward that tells none: a higher score than an empty answer). A cheat must
    have accuracy 0.0 and no higher score than an empty answer.

    Args:
        reward: one whose options have been checked.
        options: its options.
        rows: the rows.
        progress: called with the responses scored so far and their number.

    Raises:
        RewardError: the reward cannot work here: a package is missing, say.
        SandboxError: the sandbox failed.
    """
    findings: list[Finding] = []
    broken: dict[int, str] = {}
    items: list[tuple[Row, str, str]] = []
    references = cheats = 0
    for row in rows:
        try:
            reference = reward.reference(row.ground_truth, row.extra_info) if reward.reference else None
            known = reward.cheats(row.ground_truth, row.extra_info) if reward.cheats else {}
        except (RewardError, SandboxError):
            raise
        except Exception as error:
            # The reward itself says better what is wrong with the row.
            broken[row.index] = one_line(error)
            items.append((row, "", ""))
            continue
        references += reference is not None
        cheats += len(known)
        items += [(row, "", text) for text in _NOTHING]
        items += [(row, REFERENCE, reference)] if reference is not None else []
        items += [(row, f"cheat: {name}", text) for name, text in known.items()]
    done = 0

    def tell() -> None:
        nonlocal done
        done += 1
        progress(done, len(items))

    marks = await score(reward, options, [(row, text) for row, _, text in items], tell)
    worst: dict[int, float] = {}
    done_with: set[int] = set()
    for (row, what, _), mark in zip(items, marks, strict=True):
        if row.index in done_with:
            continue
        if not what and (failed := mark.failed or broken.get(row.index)):
            done_with.add(row.index)  # one finding says it
            findings.append(Finding(row, EMPTY, replace(mark, failed=failed), "a score"))
        elif not what:
            worst[row.index] = max(worst.get(row.index, mark.score), mark.score)
        elif (expected := _judge(what, mark, worst[row.index])) is not None:
            findings.append(Finding(row, what, mark, expected))
    scores = {mark.score for mark in marks if mark.failed is None}
    constant = scores.pop() if len(scores) == 1 else None
    return CheckReport(len(rows), references, cheats, tuple(findings), constant)


def _judge(what: str, mark: Scored, worst: float) -> str | None:
    """What a mark must be, where it is not that."""
    if mark.failed is not None:
        return "a score"
    if what == REFERENCE:
        if mark.accuracy is None:
            return None if mark.score > worst else f"a score above {worst:g}, which an empty answer gets"
        return None if mark.accuracy >= _ACCURATE else "accuracy 1"
    if mark.accuracy is not None and mark.accuracy > 0.0:
        return "accuracy 0"
    return None if mark.score <= worst + 1e-9 else f"a score of at most {worst:g}, as an empty answer gets"
