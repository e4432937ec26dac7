"""`pipeline rewards list`, `try` and `check`."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipelines.cli.common import in_sandbox, read_options
from pipelines.console import reward_tables as tables
from pipelines.console.progress import bar
from pipelines.digests import write_atomically
from pipelines.errors import InputError, StepError
from rewards.errors import GroundTruthError, RewardError
from rewards.plugins.loading import broken_packages, list_rewards, load
from rewards.plugins.options import read_options as read_reward_options
from rewards.registry import Reward
from rewards.trial.checking import EMPTY, check_rows, sample_rows
from rewards.trial.offline import OfflineError, Row, Scored, read_responses, read_rows, score


@dataclass(frozen=True)
class Chosen:
    """The chosen reward and the sandbox of its programs."""

    name: str
    options: list[str]
    """`key=value`."""
    file: Path | None = None
    isolation: Literal["strong", "weak"] = "strong"
    url: str | None = None

    def load(self) -> tuple[Reward, dict[str, Any]]:
        """Load the reward and check its options.

        Raises:
            RewardError: an unknown reward or option.
        """
        reward = load(self.name, self.file)
        return reward, read_reward_options(reward, read_options(self.options))


def print_rewards(file: Path | None) -> None:
    """Print the rewards."""
    with _one_line_errors():
        rewards = list_rewards(file)
    shown = [(each, {name: _show(value) for name, value in each.options.items()}) for each in rewards]
    tables.print_list([(each.name, each.source, options, each.help) for each, options in shown])
    for line in broken_packages():
        print(f"note: {line}", file=sys.stderr)


def try_reward(chosen: Chosen, rows_file: Path, responses_file: Path, output: Path | None) -> None:
    """Score responses and print each score with its reasons."""
    with _one_line_errors(), in_sandbox(chosen.isolation, chosen.url):
        if output is not None and output.is_dir():
            raise InputError(f"-o {output} is a folder; expected a file to write")
        reward, options = chosen.load()
        items = read_responses(responses_file, read_rows(rows_file))
        with bar("scoring", len(items)) as step:
            marks = score(reward, options, items, step)
    scored = [(row, mark) for (row, _), mark in zip(items, marks, strict=True)]
    if output is not None:
        records = [json.dumps(_to_record(row, mark), ensure_ascii=False) for row, mark in scored]
        write_atomically(output, "".join(f"{record}\n" for record in records))
    tables.print_scores(scored, output)


def check_reward(chosen: Chosen, rows_file: Path, sample: int | None) -> None:
    """Check the scores of reference solutions and cheats.

    Raises:
        StepError: a score is wrong.
    """
    with _one_line_errors(), in_sandbox(chosen.isolation, chosen.url):
        reward, options = chosen.load()
        if reward.reference is None and reward.cheats is None:
            raise InputError(
                f"reward {reward.name} has nothing to check: give @register a `reference` or `cheats` (see docs/own-rewards.md)"
            )
        rows = read_rows(rows_file)
        picked = sample_rows(rows, sample)
        with bar("checking", None) as step:
            report = check_rows(reward, options, picked, step)
    tables.print_report(report, len(rows))
    if report.findings:
        first = report.findings[0]
        if all(each.what == EMPTY for each in report.findings):
            raise StepError(
                f"reward {reward.name} cannot score {len(report.findings):,} of {report.rows:,} rows, first {first.row.id}: "
                f"{first.reason}; are these the rows for it? See `pipeline rewards list`"
            )
        count = f"{len(report.findings):,} wrong {'score' if len(report.findings) == 1 else 'scores'}"
        raise StepError(
            f"reward {reward.name} gives {count}, first on row {first.row.id}; fix the reward or drop the rows before training"
        )


def _to_record(row: Row, mark: Scored) -> dict[str, Any]:
    return {
        "id": row.id,
        "index": row.index,
        "score": mark.score,
        "accuracy": mark.accuracy,
        "format": mark.format,
        "failed": mark.failed,
        "reasons": list(mark.reasons),
    }


def _show(default: Any) -> str:
    return "(required)" if default is inspect.Parameter.empty else json.dumps(default)


@contextmanager
def _one_line_errors() -> Iterator[None]:
    try:
        yield
    except (OfflineError, RewardError, GroundTruthError) as error:
        raise InputError(str(error)) from error
