"""A stage's rewards, checked on rows of its own sources."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from pipelines.checks.reward_packages import check_there
from pipelines.console import tables
from pipelines.console.progress import bar
from pipelines.console.reward_tables import print_findings
from pipelines.environments import Environment
from pipelines.recipe.schema import RlStage
from preprocess.config import Sandbox
from preprocess.rows import RlRow, to_json
from preprocess.rows import Row as Made
from rewards.trial.checking import EMPTY
from rewards.trial.offline import Row
from rewards.trial.stage import Checked, check_stage


def as_scored(made: Mapping[str, Sequence[Made]]) -> dict[str, list[Row]]:
    """Rows as a reward gets them, by their source; sources without a row are left out."""
    found: dict[str, list[Row]] = {}
    place = 0
    for name, rows in made.items():
        for row in rows:
            if isinstance(row, RlRow):
                found.setdefault(name, []).append(_to_row(row, place))
                place += 1
    return found


def _to_row(row: RlRow, index: int) -> Row:
    return Row(
        index=index,
        id=row.id,
        data_source=row.data_source,
        ground_truth=to_json(row.ground_truth),
        extra_info={"index": index, "split": "train", "id": row.id, "detail": to_json(row.detail)},
    )


def check_rewards(
    stage: RlStage, rows: Mapping[str, Sequence[Row]], place: Sandbox, environment: Environment | None
) -> list[Checked]:
    """Checks the stage's rewards here; in verl's environment, where it is built, if they need packages that it has.

    Raises:
        SandboxError, StepError: the sandbox failed, here or there.
    """
    if not rows:
        return []
    with bar(f"checking {stage.name}", None) as step:
        checked = check_stage([reward.model_dump() for reward in stage.rewards], rows, step)
        if environment is not None and any(each.missing for each in checked) and environment.is_ready():
            return check_there(stage.rewards, rows, place, environment)
    return checked


def print_stage(name: str, checked: Sequence[Checked]) -> list[str]:
    """Prints a stage's table and its findings; returns a line for each reward that must not be trained on."""
    if sys.stdout.isatty() and checked:
        print(name)
    header = ("stage", "reward", "source", "rows", "references", "cheats", "result")
    lines = [(name, *_to_line(each)) for each in checked]
    drop = 1 if sys.stdout.isatty() else 0
    tables.print_rows(header[drop:], [line[drop:] for line in lines])
    print_findings([finding for each in checked if each.report for finding in each.report.findings])
    sys.stdout.flush()
    if sys.stdout.isatty() and checked:
        print()
    return [f"stage {name}: reward {each.reward} {_accuse(each)}" for each in checked if each.is_wrong]


def _to_line(checked: Checked) -> tuple[str, ...]:
    report = checked.report
    counts = ("", "") if report is None else (f"{report.references:,}", f"{report.cheats:,}")
    return (checked.reward, checked.source, f"{checked.rows:,}", *counts, _judge(checked))


def _judge(checked: Checked) -> str:
    if checked.missing:
        return f"NOT CHECKED: {checked.missing}"
    if checked.problem:
        return f"WRONG: {checked.problem}"
    assert checked.report is not None
    report = checked.report
    if report.findings:
        return f"WRONG: {_describe(checked)}"
    if is_unchecked(checked):
        return "NOT CHECKED: it knows no reference solution of these rows and no cheat"
    without = report.rows - report.references
    return f"ok; {without:,} rows have no reference solution" if without else "ok"


def is_unchecked(checked: Checked) -> bool:
    """Whether nothing is known of how the reward does."""
    report = checked.report
    return bool(checked.missing) or (report is not None and not report.references and not report.cheats)


def _accuse(checked: Checked) -> str:
    if checked.problem:
        return f"on {checked.source}: {checked.problem}"
    assert checked.report is not None
    first = checked.report.findings[0]
    reason = f": {first.reason}" if first.reason else ""
    if _cannot_score(checked):
        return f"on {checked.source}: {_describe(checked)}, first {first.row.id}{reason}"
    place = f"the {first.what} of row {first.row.id} (expected: {first.expected})"
    return f"on {checked.source}: {_describe(checked)}, first to {place}{reason}"


def _describe(checked: Checked) -> str:
    assert checked.report is not None
    count = f"{len(checked.report.findings):,}"
    if _cannot_score(checked):
        return f"it cannot score {count} of {checked.rows:,} rows"
    return f"{count} marks that it must not give"


def _cannot_score(checked: Checked) -> bool:
    return checked.report is not None and all(each.what == EMPTY for each in checked.report.findings)
