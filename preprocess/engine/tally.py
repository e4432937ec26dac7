"""Counts of records and rejects."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from preprocess.engine.convert import Part
from preprocess.engine.job import KINDS, Kind, Reject
from preprocess.errors import PrepareError
from rewards.wording import count as count_of

_MOST_REASONS = 200
_SHOWN_REASONS = 3
_OTHERS = "for other reasons"


@dataclass
class Tally:
    """The counts of all parts so far."""

    records: int = 0
    reasons: dict[Kind, Counter[str]] = field(default_factory=lambda: {kind: Counter() for kind in KINDS})
    """How often each reason occurred; their number is limited, as some reasons contain the value found."""
    first_rejected: Reject | None = None

    def add(self, part: Part) -> None:
        """Count a part."""
        self.records += part.records
        for reject in part.rejects:
            counts = self.reasons[reject.kind]
            counts[reject.reason if reject.reason in counts or len(counts) < _MOST_REASONS else _OTHERS] += 1
            if reject.kind == "rejected" and self.first_rejected is None:
                self.first_rejected = reject

    def count(self, kind: Kind) -> int:
        """Return the number of rejects of a kind."""
        return sum(self.reasons[kind].values())

    def explain_no_rows(self, what: str, file: Path) -> PrepareError:
        """Return the error of a conversion that gave no rows, with the most frequent reasons.

        Args:
            what: The rows, such as `train rows`.
            file: The rejects file.
        """
        if not self.records:
            unread = self.count("left_out")
            others = f", and {count_of(unread, 'other file')}" if unread else ""
            return PrepareError(f"no {what}: the source has no records{others}")
        reasons = [(n, kind, reason) for kind, counts in self.reasons.items() for reason, n in counts.items()]
        reasons.sort(key=lambda each: -each[0])
        listed = [f"{n:,} {kind.replace('_', ' ')}: {reason}" for n, kind, reason in reasons[:_SHOWN_REASONS]]
        if more := len(reasons) - len(listed):
            listed.append(f"{count_of(more, 'other reason')}")
        why = "; ".join(listed) or "no record was left out"
        return PrepareError(f"no {what} from {count_of(self.records, 'record')} ({why}); see {file}")

    def summarise(self) -> dict[str, dict[str, int]]:
        """Return kind -> reason -> count, the most frequent first."""
        return {kind: dict(counts.most_common()) for kind, counts in self.reasons.items()}

    def find_problem(self, max_rejects: float, file: Path) -> PrepareError | None:
        """Return an error if more than a share of the records were rejected; `file` is the rejects file it names."""
        count, first = self.count("rejected"), self.first_rejected
        if first is None or count <= max_rejects * self.records:
            return None
        return PrepareError(
            f"{count:,} of {count_of(self.records, 'record')} {'was' if count == 1 else 'were'} rejected, "
            f"more than max_rejects {max_rejects:g} allows; "
            f"all are in {file}, the first: {first.source}:{first.line}: {first.reason}"
        )


def to_line(reject: Reject) -> str:
    """Return the reject as a line of a rejects file."""
    return json.dumps(vars(reject), ensure_ascii=True) + "\n"
