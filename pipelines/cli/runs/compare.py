"""`pipeline compare`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from pipelines.cli.runs import text
from pipelines.console.progress import format_seconds
from pipelines.console.tables import print_rows, say
from pipelines.errors import InputError
from pipelines.evaluation.comparison import Comparison
from pipelines.evaluation.comparison import compare as compare_evaluations
from pipelines.evaluation.spec import SUMMARY
from pipelines.evaluation.tables import comparison_table, print_tables
from pipelines.evaluation.target import FOLDER
from pipelines.records.comparison import RunComparison, StageComparison, Values, compare_recipes, compare_stages
from pipelines.records.runs import Run, find_run


def compare_runs(first: str, second: str, parent: Path, *, as_json: bool) -> None:
    """Print what differs between two runs: recipes, metrics of the stages, evaluations."""
    one, other = find_run(first, parent), find_run(second, parent)
    evaluations, refused = _compare_evaluations(one, other)
    comparison = RunComparison(
        first=str(one.directory),
        second=str(other.directory),
        recipe=compare_recipes(one, other),
        stages=compare_stages(one, other),
        evaluations={label: each.model_dump(mode="json") for label, each in evaluations.items()},
        refused=refused,
    )
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(comparison), indent=1).decode())
    else:
        _print(comparison, evaluations)


def _compare_evaluations(first: Run, second: Run) -> tuple[dict[str, Comparison], dict[str, str]]:
    """Compare the evaluations that both runs have; return them by the evaluated model, and why others are not compared."""
    before, after = (_find_evaluations(run) for run in (first, second))
    compared, refused = {}, {}
    for label in dict.fromkeys([*before, *after]):
        if label not in before or label not in after:
            refused[label] = f"only {(first if label in before else second).directory} has it"
            continue
        try:
            compared[label] = compare_evaluations(before[label], after[label])
        except InputError as error:
            refused[label] = str(error)
    return compared, refused


def _find_evaluations(run: Run) -> dict[str, Path]:
    """Return the finished evaluations of a run by the names of their folders, in the order of the stages."""
    found = {each.parent.name: each.parent for each in sorted((run.directory / FOLDER).glob(f"*/{SUMMARY}"))}
    stages = [stage.name for stage in run.stages]
    order = {name: place for place, name in enumerate(stages)}
    # `sft@0` is the model before the stage `sft`.
    ordered = sorted(found, key=lambda name: (order.get(name.partition("@")[0], len(stages)), "@" not in name, name))
    return {name: found[name] for name in ordered}


def _print(comparison: RunComparison, evaluations: dict[str, Comparison]) -> None:
    say(f"first: {text.show_path(comparison.first)}; second: {text.show_path(comparison.second)}")
    say("")
    if not comparison.recipe:
        say("the recipes are the same")
    rows = [(each.key, _show(each.first), _show(each.second)) for each in comparison.recipe]
    print_rows(("key", "first", "second"), rows, "; all with --json")
    sys.stdout.flush()
    say("")
    if not comparison.stages:
        say("the runs have no stage in common")
    metrics = [row for each in comparison.stages for row in _metric_rows(each)]
    print_rows(("stage", "metric", "first", "second", "best of first", "best of second"), metrics, "; all with --json")
    sys.stdout.flush()
    for label, each in evaluations.items():
        say("")
        say(f"evaluation of {label}")
        print_tables([comparison_table(each)])
    for label, reason in comparison.refused.items():
        say(f"evaluation of {label} not compared: {reason}")


def _metric_rows(stage: StageComparison) -> Iterator[tuple[str, ...]]:
    first, second = stage.first, stage.second
    counts = (text.show_count(each.step, each.total) for each in (first, second))
    yield (stage.name, "steps", *counts, "", "")
    yield (stage.name, "time", format_seconds(first.seconds), format_seconds(second.seconds), "", "")
    for each in stage.metrics:
        last = [f"{values.last:.4g}" if values is not None else "-" for values in (each.first, each.second)]
        yield (stage.name, each.name, *last, _show_best(each.first), _show_best(each.second))


def _show_best(values: Values | None) -> str:
    return f"{values.best:.4g} at {values.best_step:,.0f}" if values is not None else "-"


def _show(value: Any) -> str:
    if value is None:
        return "-"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
