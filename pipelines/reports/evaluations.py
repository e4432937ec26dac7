"""The evaluations of a run, model by model, with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.errors import InputError
from pipelines.evaluation.chain import Link, read_chain
from pipelines.evaluation.spec import SUMMARY
from pipelines.evaluation.steps import BASE, STEP
from pipelines.records.runs import Run
from pipelines.reports.page import EvaluatedSet, Measured
from pipelines.reports.text import one_line, show

_Key = tuple[tuple[str, str, int], ...]


class Evaluations:
    """The evaluations of a run, read again only when one has been added or has changed."""

    def __init__(self) -> None:
        self._chains: dict[_Key, list[Link] | str] = {}

    def read(self, number: int, run: Run, recipe: Mapping[str, Any]) -> list[EvaluatedSet]:
        """Return the sets on which models of the run were evaluated.

        Args:
            number: Place of the run in the page.
            recipe: The resolved recipe, as plain values.
        """
        found: dict[tuple[str, str], EvaluatedSet] = {}
        chains = {_key(models): models for models in _list_chains(run, recipe) if models}
        self._chains = {key: self._chains.get(key) or _read(models) for key, models in chains.items()}
        for links in self._chains.values():
            if isinstance(links, str):
                found.setdefault(("", links), EvaluatedSet(name="", figure="", models=[], notes=[links]))
                continue
            for link in links:
                _add(found, number, link)
        return list(found.values())


def _key(models: Sequence[tuple[str, Path]]) -> _Key:
    return tuple((name, str(folder), (folder / SUMMARY).stat().st_mtime_ns) for name, folder in models)


def _read(models: Sequence[tuple[str, Path]]) -> list[Link] | str:
    """Return the models with their figures, or why they cannot be read."""
    try:
        return read_chain(models)
    except InputError as error:
        return one_line(str(error), 500)


def _list_chains(run: Run, recipe: Mapping[str, Any]) -> list[list[tuple[str, Path]]]:
    """Return name and evaluation of each model of each chain, as far as they were evaluated."""
    folders = {step.entry.stage: step.folder for step in run.steps if step.name.rpartition("/")[2] == STEP}
    names = [stage.name for stage in run.stages]
    starts = {name: names[place - 1] if place else None for place, name in enumerate(names)}
    given = recipe.get("stages")
    for stage in given if isinstance(given, list) else []:
        if isinstance(stage, dict) and isinstance(start := stage.get("init_from"), str) and stage.get("name") in starts:
            starts[stage["name"]] = start if start in names else None
    chains = []
    for last in (name for name in names if name not in starts.values()):
        lineage: list[str | None] = [last]
        while (earlier := starts.get(lineage[-1] or "")) is not None and earlier not in lineage:
            lineage.append(earlier)
        models = [*lineage, None][::-1]
        evaluated = [(BASE if name is None else name, folders[name]) for name in models if name in folders]
        chains.append([each for each in evaluated if (each[1] / SUMMARY).is_file()])
    return chains


def _add(found: dict[tuple[str, str], EvaluatedSet], number: int, link: Link) -> None:
    for name, summary in link.summary.sets.items():
        figure = summary.overall.figures.get(summary.metric)
        one = found.setdefault((name, summary.metric), EvaluatedSet(name=show(name), figure=show(summary.metric), models=[]))
        if any(each.model == show(link.name) and each.run == number for each in one.models):
            continue  # of two chains
        compared = link.change.sets.get(name) if link.change is not None else None
        change = compared.figures.get(summary.metric) if compared is not None else None
        one.models.append(
            Measured(
                model=show(link.name),
                run=number,
                value=figure.value if figure else None,
                low=figure.low if figure else 0.0,
                high=figure.high if figure else 0.0,
                problems=summary.overall.problems,
                sampling=summary.sampling,
                cut=summary.overall.cut.share,
                failed=summary.overall.failed.count,
                tokens=summary.overall.tokens.mean,
                change=(change.difference.value, change.difference.low, change.difference.high) if change else None,
            )
        )
        if summary.incomplete.count:
            one.notes.append(
                f"{show(link.name)}: {summary.incomplete.count:,} of {summary.incomplete.of:,} problems lack responses "
                "and are in no figure"
            )
    for name, why in link.summary.warnings.items():
        found.setdefault((name, ""), EvaluatedSet(name=show(name), figure="", models=[])).notes.append(
            f"{show(link.name)}: not evaluated: {one_line(why, 300)}"
        )


def merge(lists: Sequence[Sequence[EvaluatedSet]]) -> list[EvaluatedSet]:
    """Return the sets of several runs, each once."""
    merged: dict[tuple[str, str], EvaluatedSet] = {}
    for each in (one for sets in lists for one in sets):
        key = (each.name, each.figure)
        before = merged.get(key)
        merged[key] = (
            each
            if before is None
            else EvaluatedSet(
                name=each.name, figure=each.figure, models=[*before.models, *each.models], notes=[*before.notes, *each.notes]
            )
        )
    return list(merged.values())
