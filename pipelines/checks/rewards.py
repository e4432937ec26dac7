"""Check a stage's rewards on rows of its own sources."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from pipelines.console import tables
from pipelines.console.progress import bar
from pipelines.console.reward_tables import print_findings, print_free
from pipelines.environments import Environment
from pipelines.environments.ask import AskError, ask
from pipelines.errors import StepError
from pipelines.recipe.schema import RlStage
from preprocess.config import Sandbox
from preprocess.rows import RlRow, to_json
from preprocess.rows import Row as Prepared
from rewards.trial.checking import EMPTY
from rewards.trial.offline import Row
from rewards.trial.stage import Checked, check_stage, read_results

_SECONDS = 1800.0


def rows_by_source(prepared: Mapping[str, Sequence[Prepared]]) -> dict[str, list[Row]]:
    """Return the rows as a reward gets them; sources without rows are left out."""
    found: dict[str, list[Row]] = {}
    index = 0
    for name, rows in prepared.items():
        for row in rows:
            if isinstance(row, RlRow):
                extra = {"index": index, "split": "train", "id": row.id, "detail": to_json(row.detail)}
                prompt = "\n".join(message.content for message in row.prompt)
                truth = to_json(row.ground_truth)
                found.setdefault(name, []).append(Row(index, row.id, row.data_source, truth, extra, prompt))
                index += 1
    return found


def check_rewards(
    stage: RlStage, rows: Mapping[str, Sequence[Row]], place: Sandbox, environment: Environment | None
) -> list[Checked]:
    """Check the stage's rewards here; in verl's environment if they need its packages and it is built."""
    if not rows:
        return []
    with bar(f"checking {stage.name}") as step:
        checked = check_stage([reward.model_dump() for reward in stage.rewards], rows, step)
        if environment is not None and any(each.missing for each in checked) and environment.is_ready():
            return _check_in_environment(stage, rows, place, environment)
    return checked


def _check_in_environment(
    stage: RlStage, rows: Mapping[str, Sequence[Row]], place: Sandbox, environment: Environment
) -> list[Checked]:
    request = {
        "rewards": [reward.model_dump() for reward in stage.rewards],
        "sandbox": place.model_dump(),
        "sources": {name: [asdict(row) for row in each] for name, each in rows.items()},
    }
    arguments, stdin = ["-m", "rewards.trial.stage"], json.dumps(request)
    try:
        answer = ask(environment.python, arguments, variables=environment.variables, stdin=stdin, timeout=_SECONDS)
    except AskError as error:
        raise StepError(f"{environment.python} did not check the rewards: {error}") from None
    if "error" in answer:
        raise StepError(f"{answer['error']}; see `pipeline doctor`")
    return read_results(answer["checked"])


def print_stage(name: str, checked: Sequence[Checked]) -> list[tuple[str, str]]:
    """Print a stage's table and its findings; return each reward that must not be trained with, and why."""
    terminal = sys.stdout.isatty()
    if terminal and checked:
        print(name)
    free = [((name, each.reward), free) for each in checked if each.report for free in each.report.free]
    print_free([(cells[terminal:], each) for cells, each in free], ("stage", "reward")[terminal:])
    header = ("stage", "reward", "source", "rows", "references", "cheats", "result")
    lines = []
    for each in checked:
        counts = (f"{each.report.references:,}", f"{each.report.cheats:,}") if each.report else ("", "")
        lines.append((name, each.reward, each.source, f"{each.rows:,}", *counts, _format_result(each)))
    tables.print_rows(header[terminal:], [line[terminal:] for line in lines])
    print_findings([finding for each in checked if each.report for finding in each.report.findings])
    sys.stdout.flush()
    if terminal and checked:
        print()
    return [(f"stage {name}: reward {each.reward} on {each.source}", _explain(each)) for each in checked if each.is_wrong]


def is_unchecked(checked: Checked) -> bool:
    """Return whether nothing was found out about the reward."""
    report = checked.report
    return bool(checked.missing) or (report is not None and not report.references and not report.cheats)


def _format_result(checked: Checked) -> str:
    if checked.missing:
        return f"NOT CHECKED: {checked.missing}"
    if checked.is_wrong:
        return f"WRONG: {checked.problem or _summarize(checked)}"
    if is_unchecked(checked):
        return "NOT CHECKED: it has no reference solutions and no cheats for these rows"
    report = checked.report
    assert report is not None
    without = report.rows - report.references
    return f"ok; {without:,} rows have no reference solution" if without else "ok"


def _explain(checked: Checked) -> str:
    if checked.problem:
        return checked.problem
    assert checked.report is not None
    first = checked.report.findings[0]
    reason = f": {first.reason}" if first.reason else ""
    if _cannot_score(checked):
        return f"{_summarize(checked)}, first {first.row.id}{reason}"
    return f"{_summarize(checked)}, first for the {first.what} of row {first.row.id} (expected: {first.expected}){reason}"


def _summarize(checked: Checked) -> str:
    assert checked.report is not None
    count = f"{len(checked.report.findings):,}"
    return f"it cannot score {count} of {checked.rows:,} rows" if _cannot_score(checked) else f"{count} wrong scores"


def _cannot_score(checked: Checked) -> bool:
    return checked.report is not None and all(each.what == EMPTY for each in checked.report.findings)
