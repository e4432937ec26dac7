"""Checks all rewards of a stage on a sample of its rows: here, or as `python -m rewards.trial.stage` in another Python.

That one reads a JSON object from standard input (`rewards` and `sandbox` as a recipe has them, `sources`: name -> rows) and
writes what it found as one JSON line.
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
from rewards.trial.checking import CheckReport, Finding, check_rows_blocking
from rewards.trial.offline import Row, Scored


@dataclass(frozen=True)
class Checked:
    """What came of one reward on the rows of one source."""

    reward: str
    source: str
    rows: int
    report: CheckReport | None = None
    problem: str = ""
    """What is wrong with the reward as a whole, in one line."""
    missing: str = ""
    """Why it could not be checked in this Python: a package, in one line."""

    @property
    def is_wrong(self) -> bool:
        """Whether it must not be trained on."""
        return bool(self.problem or (self.report is not None and self.report.findings))


Progress = Callable[[int, int], object]


def check_stage(
    rewards: Sequence[Mapping[str, Any]],
    sources: Mapping[str, Sequence[Row]],
    progress: Progress = lambda done, total: None,
) -> list[Checked]:
    """Checks each reward on the rows that it takes of each source.

    Args:
        rewards: as a recipe has them.
        sources: name -> some of its rows.
        progress: called with the responses scored so far and their number, for each reward and source.

    Raises:
        SandboxError: the sandbox failed.
    """
    loaded = [_load(each) for each in rewards]
    combination = Combination(tuple(entry for entry, _ in loaded))
    checked: list[Checked] = []
    for entry, failure in loaded:
        for source, rows in sources.items():
            mine = [row for row in rows if any(each is entry for each in combination.takers(row.data_source))]
            if not mine:
                continue
            alone = all(len(combination.takers(row.data_source)) == 1 for row in mine)
            checked.append(failure(source, len(mine)) if failure else _check(entry, source, mine, alone, progress))
    return checked


def _load(given: Mapping[str, Any]) -> tuple[Entry, Callable[[str, int], Checked] | None]:
    """The reward, or what stands for it where it does not load."""
    try:
        return read_entry(given), None
    except RewardError as error:
        name, said = str(given["name"]), str(error)
        kind = "missing" if isinstance(error, MissingModuleError) else "problem"
        nothing = Entry(Reward(name, lambda *_: 0.0), pattern=given.get("data_source"))
        return nothing, lambda source, rows: Checked(name, source, rows, **{kind: said})  # type: ignore[arg-type]


def _check(entry: Entry, source: str, rows: Sequence[Row], alone: bool, progress: Progress) -> Checked:
    name = entry.reward.name
    try:
        report = check_rows_blocking(entry.reward, entry.options, rows, progress)
    except MissingModuleError as error:
        return Checked(name, source, len(rows), missing=str(error))
    except RewardError as error:
        return Checked(name, source, len(rows), problem=str(error))
    if alone and report.constant is not None and report.constant > 0 and not report.findings:
        # In a sum with others it may be right for what was tried here: a reward for answers that are not too long, say.
        problem = f"it gives {report.constant:g} to every answer, to an empty one too: nothing can be learned from that"
        return Checked(name, source, len(rows), report, problem)
    return Checked(name, source, len(rows), report)


def to_record(checked: Checked) -> dict[str, Any]:
    """As JSON data; a row is told by its place."""
    record = asdict(checked)
    if checked.report is not None:
        for finding, each in zip(record["report"]["findings"], checked.report.findings, strict=True):
            finding["row"] = each.row.index
    return record


def read_record(record: Mapping[str, Any], sources: Mapping[str, Sequence[Row]]) -> Checked:
    """What `to_record` wrote."""
    fields = dict(record)
    if fields["report"] is not None:
        rows = {row.index: row for row in sources[fields["source"]]}
        findings = tuple(
            Finding(rows[each["row"]], each["what"], _read_scored(each["scored"]), each["expected"])
            for each in fields["report"]["findings"]
        )
        fields["report"] = CheckReport(**{**fields["report"], "findings": findings})
    return Checked(**fields)


def _read_scored(record: Mapping[str, Any]) -> Scored:
    return Scored(**{**record, "reasons": tuple(record["reasons"])})


def main() -> None:
    """The command."""
    request = json.load(sys.stdin)
    sandbox.configure(sandbox.Settings(**request["sandbox"]))
    sources = {name: [Row(**row) for row in rows] for name, rows in request["sources"].items()}
    try:
        records = [to_record(each) for each in check_stage(request["rewards"], sources)]
        answer: dict[str, Any] = {"checked": records}
    except sandbox.SandboxError as error:
        answer = {"error": str(error)}
    finally:
        sandbox.close_all()
    # A plugin may have printed something without an end.
    print(f"\n{json.dumps(answer)}")


if __name__ == "__main__":
    main()
