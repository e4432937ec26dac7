"""Check all rewards of a stage on a sample of its rows: here, or as `python -m rewards.trial.stage` in another Python.

The command reads a JSON object from standard input (`rewards` and `sandbox` as in a recipe, `sources`: name -> rows) and
writes the results as one JSON line.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rewards import sandbox
from rewards.errors import MissingModuleError, RewardError
from rewards.registry import Reward
from rewards.scoring.combination import Combination, Entry, read_entry
from rewards.trial.checking import CheckReport, check_rows
from rewards.trial.offline import Row


@dataclass(frozen=True)
class Checked:
    """The result of one reward on the rows of one source."""

    reward: str
    source: str
    rows: int
    report: CheckReport | None = None
    problem: str = ""
    """What is wrong with the reward as a whole, in one line."""
    missing: str = ""
    """Which package this Python lacks to check it, in one line."""

    @property
    def is_wrong(self) -> bool:
        """Whether training with it must be refused."""
        return bool(self.problem or (self.report is not None and self.report.findings))


Progress = Callable[[int, int], object]


def check_stage(
    rewards: Sequence[Mapping[str, Any]],
    sources: Mapping[str, Sequence[Row]],
    progress: Progress = lambda done, total: None,
) -> list[Checked]:
    """Check each reward on the rows of each source that it scores.

    Args:
        rewards: as in a recipe.
        sources: name -> a sample of its rows.
        progress: called with the number of scored responses and their total, for each reward and source.

    Raises:
        SandboxError: the sandbox failed.
    """
    loaded = [_load(each) for each in rewards]
    combination = Combination(tuple(entry for entry, _ in loaded))
    checked: list[Checked] = []
    for entry, error in loaded:
        for source, rows in sources.items():
            own = [row for row in rows if any(each is entry for each in combination.matching_rewards(row.data_source))]
            if own and error is not None:
                checked.append(_failed(entry.reward.name, source, len(own), error))
            elif own:
                alone = all(len(combination.matching_rewards(row.data_source)) == 1 for row in own)
                checked.append(_check(entry, source, own, alone, progress))
    return checked


def _load(given: Mapping[str, Any]) -> tuple[Entry, RewardError | None]:
    """Load a reward; return a placeholder and the error if it does not load."""
    try:
        return read_entry(given), None
    except RewardError as error:
        return Entry(Reward(str(given["name"]), lambda *_: 0.0), pattern=given.get("data_source")), error


def _failed(name: str, source: str, rows: int, error: RewardError) -> Checked:
    if isinstance(error, MissingModuleError):
        return Checked(name, source, rows, missing=str(error))
    return Checked(name, source, rows, problem=str(error))


def _check(entry: Entry, source: str, rows: Sequence[Row], alone: bool, progress: Progress) -> Checked:
    name, problem = entry.reward.name, ""
    try:
        report = check_rows(entry.reward, entry.options, rows, progress)
    except RewardError as error:
        return _failed(name, source, len(rows), error)
    # Combined with others it may be useful: a reward for short answers may give the same score to all that were tried.
    if alone and report.constant is not None and report.constant > 0 and not report.findings:
        problem = f"it gives {report.constant:g} to every answer, even an empty one: a model cannot learn from that"
    return Checked(name, source, len(rows), report, problem)


def read_results(records: Sequence[Mapping[str, Any]]) -> list[Checked]:
    """Read the results that the command writes."""
    from pydantic import TypeAdapter

    return TypeAdapter(list[Checked]).validate_python(records)


def main() -> None:
    """Run the command."""
    request = json.load(sys.stdin)
    sandbox.configure(sandbox.Settings(**request["sandbox"]))
    sources = {name: [Row(**row) for row in rows] for name, rows in request["sources"].items()}
    try:
        answer: dict[str, Any] = {"checked": [asdict(each) for each in check_stage(request["rewards"], sources)]}
    except sandbox.SandboxError as error:
        answer = {"error": str(error)}
    finally:
        sandbox.close_all()
    # A plugin may have printed something without a line break.
    print(f"\n{json.dumps(answer)}")


if __name__ == "__main__":
    main()
