"""The rows of a stage that had too many tokens, and what happened to them, as `prompts.json` says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.trainers.base import StagePaths
from preprocess import atomic
from rewards.wording import count


@dataclass(frozen=True)
class Overlong:
    """The overlong rows of a stage."""

    limit: int
    """Most tokens of a row."""
    outcome: str
    """`cut` or `leave_out`."""
    rows: Mapping[str, int]
    """train and validation -> rows that are longer."""

    def left_out(self, split: str) -> int:
        """Return how many rows the trainer does not get."""
        return self.rows.get(split, 0) if self.outcome == "leave_out" else 0

    def __str__(self) -> str:
        """Return what happened, such as `2 rows longer than 512 tokens were truncated`."""
        done = "left out" if self.outcome == "leave_out" else "truncated"
        total = sum(self.rows.values())
        return f"{count(total, 'row')} longer than {self.limit:,} tokens {'was' if total == 1 else 'were'} {done}"


def read_overlong(paths: StagePaths) -> Overlong | None:
    """Return the overlong rows of a stage; None: it has none, or they are not counted yet."""
    found = atomic.read_json(paths.prompts) or {}
    files, limit = found.get("files"), found.get("limit")
    if not isinstance(files, dict) or not isinstance(limit, int):
        return None
    rows = {
        split: each["over"] for split, each in files.items() if isinstance(each, dict) and isinstance(each.get("over"), int)
    }
    # Earlier versions wrote no outcome.
    outcome = str(found.get("overlong") or ("leave_out" if found.get("shape") == "rl" else "cut"))
    return Overlong(limit, outcome, rows) if any(rows.values()) else None
