"""Stages whose rows cannot teach: rows without a reward, patterns and tools that no row has, batches larger than all rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from pipelines.checks.findings import Finding, Report
from pipelines.errors import InputError
from pipelines.recipe.loading import Loaded
from pipelines.recipe.nodes import Loc
from pipelines.recipe.problems import Problem, problem_at
from pipelines.recipe.schema import Recipe, RlStage, SftStage
from pipelines.records.overlong import read_overlong
from pipelines.trainers.base import StagePaths, count_rows
from preprocess.rows import RlRow, Row
from rewards.registry import Reward as Registered
from rewards.scoring.combination import Combination, Entry
from rewards.suggestions import did_you_mean
from rewards.wording import count

_LISTED = 5


@dataclass
class RowFacts:
    """What is known of a stage's rows."""

    train: int = 0
    """Training rows, or an upper limit of their number."""
    complete: bool = True
    """Whether there are no other rows."""
    sources: Counter[str] = field(default_factory=Counter)
    """Data source -> rows, those of the validation included."""
    tools: Counter[str] = field(default_factory=Counter)
    """Tool -> rows that name it."""

    def add(self, rows: Iterable[Row]) -> None:
        """Count the data sources and tools of rows."""
        for row in rows:
            if isinstance(row, RlRow):
                self.sources[row.data_source] += 1
                self.tools.update(row.tools)


@dataclass(frozen=True)
class _Problem:
    """What keeps the rows from teaching."""

    loc: Loc
    """The key in the stage."""
    text: str
    certain: bool = True
    """Whether other rows cannot change it."""


def report_rows(loaded: Loaded, stage: SftStage | RlStage, facts: RowFacts, report: Report) -> None:
    """Add what keeps a stage's rows from teaching to a report; notes, where other rows may change it."""
    for problem in _find(stage, facts):
        report.findings.append(Finding(stage.name, "rows", problem.text, "wrong" if problem.certain else "note"))
        if problem.certain:
            report.add_problem(str(_locate(loaded, stage, problem)))


def judge_rows(loaded: Loaded, stage: SftStage | RlStage, paths: StagePaths) -> list[str]:
    """Return what is doubtful about prepared rows, a line each.

    Raises:
        InputError: They cannot teach; a line for each reason.
    """
    facts = read_facts(stage, paths)
    found = list(_find(stage, facts))
    if message := describe_batch(stage, loaded.recipe, facts.train):
        found.append(_Problem(("batch",), message))
    lines = {
        certain: [str(_locate(loaded, stage, each)) for each in found if each.certain is certain] for certain in (True, False)
    }
    if lines[True]:
        raise InputError("\n".join(lines[True]))
    return lines[False]


def refuse_few_rows(loaded: Loaded, stage: SftStage | RlStage, paths: StagePaths) -> None:
    """Refuse fewer rows than a step needs, without the overlong ones.

    Raises:
        InputError: They are fewer.
    """
    if (overlong := read_overlong(paths)) is None:
        return
    rows = (count_rows(paths.data, "train") or 0) - overlong.left_out("train")
    if message := describe_batch(stage, loaded.recipe, rows):
        raise InputError(str(_locate(loaded, stage, _Problem(("batch",), f"{message}: {overlong}"))))


def _locate(loaded: Loaded, stage: SftStage | RlStage, problem: _Problem) -> Problem:
    return problem_at(loaded.root, ("stages", loaded.recipe.stages.index(stage), *problem.loc), problem.text)


def find_unrewarded(loaded: Loaded, stage: RlStage, facts: RowFacts) -> list[str]:
    """Return the data sources whose rows no reward takes, or none with a positive weight, a line each."""
    return [str(_locate(loaded, stage, each)) for each in _find_unrewarded(stage, facts) if each.certain]


def read_facts(stage: SftStage | RlStage, paths: StagePaths) -> RowFacts:
    """Read what is known of a stage's prepared rows."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    facts = RowFacts(count_rows(paths.data, "train") or 0)
    if isinstance(stage, SftStage):
        return facts
    for split in ("train", "validation"):
        with pq.ParquetFile(paths.data / f"{split}.parquet") as file:
            for batch in file.iter_batches(columns=["data_source", "extra_info.tool_selection"]):
                for each in pc.value_counts(batch["data_source"]).to_pylist():
                    facts.sources[each["values"]] += each["counts"]
                tools = pc.list_flatten(batch["extra_info"].field("tool_selection"))
                for each in pc.value_counts(tools).to_pylist():
                    facts.tools[each["values"]] += each["counts"]
    return facts


def describe_batch(stage: SftStage | RlStage, recipe: Recipe, rows: int) -> str:
    """Return how a step needs more rows than there are; empty: it does not."""
    if isinstance(stage, RlStage):
        needed, what = stage.batch.prompts, "prompts of one step"
    else:
        hardware, batch = recipe.hardware_of(stage), stage.batch
        needed, what = batch.per_device * batch.accumulate * hardware.nodes * hardware.gpus_per_node, "rows of one step"
    return f"{count(rows, 'row')} in total, fewer than the {needed:,} {what}" if 0 < rows < needed else ""


def _find(stage: SftStage | RlStage, facts: RowFacts) -> Iterator[_Problem]:
    if isinstance(stage, RlStage) and facts.sources:
        yield from _find_unrewarded(stage, facts)
        yield from _find_tools(stage, facts)


def _find_unrewarded(stage: RlStage, facts: RowFacts) -> Iterator[_Problem]:
    entries = [Entry(Registered(each.name, lambda *_: 0.0), {}, each.weight, each.data_source) for each in stage.rewards]
    combination = Combination(tuple(entries))
    taken = {source: combination.matching_rewards(source) for source in facts.sources}
    # Rows that no pattern was written for: those of a misspelled one are among them.
    general = {source for source, found in taken.items() if all(each.pattern in (None, "*") for each in found)}
    for number, entry in enumerate(entries):
        if entry.pattern is not None and not any(entry is each for found in taken.values() for each in found):
            which = "rows" if facts.complete else "first rows"
            hint = did_you_mean(entry.pattern, general)
            text = f"{entry.pattern!r} takes none of the {which}{hint or f', whose data sources are {_list(facts.sources)}'}"
            yield _Problem(("reward", number, "data_source"), text, facts.complete and bool(hint))
    for source, found in taken.items():
        if not found:
            yield _Problem(("reward",), f"no reward takes the rows of data source {source!r}")
        elif all(entry.weight <= 0 for entry in found):
            names = ", ".join(entry.reward.name for entry in found)
            yield _Problem(("reward",), f"the rows of data source {source!r} get only {names}, without a positive weight")


def _list(sources: Iterable[str]) -> str:
    first = sorted(sources)
    return ", ".join(first[:_LISTED]) + (", …" if first[_LISTED:] else "")


def _find_tools(stage: RlStage, facts: RowFacts) -> Iterator[_Problem]:
    own: set[str] = {stage.tool.name} if stage.tool is not None else set()
    for name in own - facts.tools.keys():
        which = "no row names" if facts.complete else "none of the first rows names"
        text = f"{which} the tool {name}, so no model sees it; converters have an option `tool`"
        yield _Problem(("tool",), text, facts.complete)
    for name, rows in facts.tools.items():
        if name not in own:
            named = f"{count(rows, 'row')} name{'s' if rows == 1 else ''} the tool {name}"
            yield _Problem(("data",), f"{named}, which the stage does not have: add `tool`")
