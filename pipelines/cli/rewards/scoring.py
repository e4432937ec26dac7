"""`pipeline rewards list`, `try` and `check`."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipelines.console import reward_tables, tables
from pipelines.console.progress import bar
from pipelines.digests import write_atomically
from pipelines.errors import InputError, StepError
from rewards.errors import GroundTruthError, RewardError
from rewards.plugins.loading import broken_packages, list_rewards, load
from rewards.plugins.options import read_options
from rewards.trial.checking import EMPTY, check_rows, sample_rows
from rewards.trial.offline import OfflineError, read_responses, read_rows, score

_COLUMNS = ("name", "source", "options", "help")


@contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        yield
    except (OfflineError, RewardError, GroundTruthError) as error:
        raise InputError(str(error)) from error


@_one_line_errors()
def print_rewards(file: Path | None) -> None:
    """Print the rewards."""
    found = list_rewards(file)
    options = [{name: _show_default(value) for name, value in each.options.items()} for each in found]
    shown = zip(found, options, strict=True)
    tables.print_entries(_COLUMNS, [(each.name, each.source, defaults, each.help) for each, defaults in shown])
    for line in broken_packages():
        print(f"note: {line}", file=sys.stderr)


def _show_default(value: Any) -> str:
    return "(required)" if value is inspect.Parameter.empty else json.dumps(value)


@_one_line_errors()
def try_reward(
    name: str, file: Path | None, given: dict[str, Any], rows_file: Path, responses_file: Path, output: Path | None
) -> None:
    """Score responses and print each score with its reasons."""
    if output is not None and output.is_dir():
        raise InputError(f"-o {output} is a folder; expected a file to write")
    reward = load(name, file)
    options = read_options(reward, given)
    items = read_responses(responses_file, read_rows(rows_file))
    with bar("scoring", len(items)) as step:
        marks = score(reward, options, items, step)
    scored = [(row, mark) for (row, _), mark in zip(items, marks, strict=True)]
    if output is not None:
        records = [{"id": row.id, "index": row.index, **asdict(mark)} for row, mark in scored]
        write_atomically(output, "".join(f"{json.dumps(record, ensure_ascii=False)}\n" for record in records))
    reward_tables.print_scores(scored, output)


@_one_line_errors()
def check_reward(name: str, file: Path | None, given: dict[str, Any], rows_file: Path, sample: int | None) -> None:
    """Check the scores of reference solutions and cheats.

    Raises:
        StepError: a score is wrong.
    """
    reward = load(name, file)
    options = read_options(reward, given)
    if reward.reference is None and reward.cheats is None:
        raise InputError(
            f"reward {name} has nothing to check: give @register a `reference` or `cheats` (see docs/own-rewards.md)"
        )
    rows = read_rows(rows_file)
    with bar("checking") as step:
        report = check_rows(reward, options, sample_rows(rows, sample), step)
    reward_tables.print_report(report, len(rows))
    if report.findings:
        first, count = report.findings[0], f"{len(report.findings):,}"
        if all(each.what == EMPTY for each in report.findings):
            raise StepError(
                f"reward {name} cannot score {count} of {report.rows:,} rows, first {first.row.id}: "
                f"{first.reason}; are these the rows for it? See `pipeline rewards list`"
            )
        raise StepError(
            f"reward {name} gives {count} wrong {'score' if count == '1' else 'scores'}, first on row {first.row.id}; "
            "fix the reward or drop the rows before training"
        )
