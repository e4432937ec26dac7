"""`pipeline check`: everything that can be found wrong with a recipe, its rewards included, before anything is trained."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipelines import tables
from pipelines.checks import find_problems
from pipelines.environments import Environment
from pipelines.errors import InputError, StepError
from pipelines.machine import find_environments, find_machine
from pipelines.plan import all_sources
from pipelines.recipe.loading import Loaded, load
from pipelines.recipe.schema import RlStage, Sandbox, Source
from pipelines.reward_check import check_there
from pipelines.rewards_tables import print_findings
from preprocess.convert import take_first
from preprocess.errors import SourceError
from preprocess.job import Source as Rows
from preprocess.rows import RlRow, to_json
from rewards import sandbox
from rewards.checking import EMPTY
from rewards.offline import Row
from rewards.stage_check import Checked, check_stage


@dataclass
class Sample:
    """The first rows of a stage's sources."""

    rows: dict[str, list[Row]] = field(default_factory=dict)
    """Source -> its rows."""
    absent: list[str] = field(default_factory=list)
    """Sources that are not on this machine, a line each."""
    notes: list[str] = field(default_factory=list)
    """What else a person should know: a line each."""
    empty: list[str] = field(default_factory=list)
    """Sources that gave no row, with the reason."""
    problems: list[str] = field(default_factory=list)
    """Mistakes in the recipe."""


def check_recipe(path: Path, sets: list[str], count: int) -> None:
    """Prints what is wrong, the check of each stage's rewards on `count` rows of every source, and what to type next.

    Raises:
        InputError: mistakes in the recipe, all of them.
        StepError: a reward gives marks that it must not give.
    """
    loaded = load(path, sets)
    environments = find_environments(loaded.recipe)
    problems = find_problems(loaded, find_machine(loaded.recipe, environments), environments)
    sandbox.configure(sandbox.Settings(**loaded.recipe.sandbox.model_dump()))
    wrong: list[str] = []
    unchecked = False
    try:
        for stage in loaded.recipe.stages:
            if isinstance(stage, RlStage):
                sample = take_sample(loaded, stage, count)
                problems += [each for each in sample.problems if each not in problems]
                wrong += [f"stage {stage.name}: {each}" for each in sample.empty]
                checked = check_rewards(stage, sample.rows, loaded.recipe.sandbox, environments.get("verl"))
                wrong += print_stage(stage.name, checked, sample)
                unchecked |= bool(sample.absent) or any(_is_unchecked(each) for each in checked)
    except sandbox.SandboxError as error:
        raise StepError(f"{error}; see `pipeline doctor`") from error
    finally:
        sandbox.close_all()
    if problems:
        raise InputError("\n".join(problems))
    if wrong:
        more = f" ({len(wrong):,} such findings in all)" if len(wrong) > 1 else ""
        raise StepError(f"{wrong[0]}{more}; mend this before you train")
    words = ["pipeline", "run", str(path), *(word for each in sets for word in ("--set", each))]
    said = "nothing is wrong with what could be checked" if unchecked else "nothing is wrong"
    print(f"{said}; next: {shlex.join(words)}", file=sys.stdout if sys.stdout.isatty() else sys.stderr)


def take_sample(loaded: Loaded, stage: RlStage, count: int) -> Sample:
    """Converts the first rows of each of the stage's sources; nothing is written."""
    sample = Sample()
    sources = {json.dumps(each.model_dump(), sort_keys=True): each for each in all_sources(stage.data)}
    for source in sources.values():
        name = _name(source)
        while name in sample.rows:  # the same file with other options
            name += "'"
        if not Path(source.source).exists():
            sample.absent.append(f"{name} is not on this machine: its rows were not looked at")
            continue
        file = Path(source.file) if source.file else None
        given = Rows(source.converter, Path(source.source), source.limit, source.options, file)
        try:
            made = take_first(given, "rl", count)
        except SourceError as error:
            problem = f"{loaded.where('stages', stage.name, 'data')}: stages.{stage.name}.data: {error}"
            sample.problems.append(problem)
            continue
        failed = [each for each in made.rejects if each.kind == "rejected"]
        first = next(iter(failed or made.rejects), None)
        why = f"; first {first.source}:{first.line}: {first.reason}" if first else ""
        if not made.rows:
            sample.empty.append(f"no row comes of the {made.records:,} records of {name}{why}")
            continue
        if failed:
            sample.notes.append(f"{len(failed):,} of the first {made.records:,} records of {name} are rejected{why}")
        before = sum(map(len, sample.rows.values()))
        sample.rows[name] = [_to_row(row, place) for place, row in enumerate(made.rows, before) if isinstance(row, RlRow)]
    return sample


def _to_row(row: RlRow, index: int) -> Row:
    """The row as a reward gets it."""
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
    with tables.progress(f"checking {stage.name}", None) as step:
        checked = check_stage([reward.model_dump() for reward in stage.rewards], rows, step)
        if environment is not None and any(each.missing for each in checked) and environment.is_ready():
            return check_there(stage.rewards, rows, place, environment)
    return checked


def print_stage(name: str, checked: Sequence[Checked], sample: Sample) -> list[str]:
    """Prints a stage's table and its findings; returns a line for each reward that must not be trained on."""
    if sys.stdout.isatty():
        print(f"{name}")
    header = ("stage", "reward", "source", "rows", "references", "cheats", "result")
    lines = [(name, *_to_line(each)) for each in checked]
    drop = 1 if sys.stdout.isatty() else 0
    tables.print_rows(header[drop:], [line[drop:] for line in lines])
    print_findings([finding for each in checked if each.report for finding in each.report.findings])
    sys.stdout.flush()
    for note in [*sample.problems, *sample.empty, *sample.absent, *sample.notes]:
        print(f"note: {name}: {note}", file=sys.stderr)
    if sys.stdout.isatty():
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
    if _is_unchecked(checked):
        return "NOT CHECKED: it knows no reference solution of these rows and no cheat"
    without = report.rows - report.references
    return f"ok; {without:,} rows have no reference solution" if without else "ok"


def _is_unchecked(checked: Checked) -> bool:
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


def _name(source: Source) -> str:
    """The converter, and the file as a person knows it."""
    path = Path(source.source)
    return f"{source.converter} {path.name if path.is_absolute() else source.source}"
