"""Read runs into the typed data of a page, and write it as one HTML file. Called again, it reads only what is new."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.errors import InputError
from pipelines.records.metrics import MetricsTail
from pipelines.records.runs import Run, Stage, open_run
from pipelines.reports import charts, evaluations, rendering
from pipelines.reports.chain import Checkpoints, stage_card, step_row
from pipelines.reports.page import Curves, EvaluatedSet, Page, Pinned, RunPart, Sample, Samples, StageCard
from pipelines.reports.sampling import Kept, StageSamples, count_text
from pipelines.reports.settings import list_settings
from pipelines.reports.text import one_line, show
from pipelines.reports.tracks import Track, add_rows

MOST_RUNS = 8
"""Runs in a page: more curves in one picture cannot be told apart."""

_SAMPLE_BYTES = 7_000_000
"""Of the samples in a page."""


class Report:
    """The report of some runs.

    Args:
        directories: The run directories.
        live: Whether the run writes it again while it continues.

    Raises:
        InputError: A folder is not a run, or of a later version; or there are too many.
    """

    def __init__(self, directories: Sequence[Path], *, live: bool = False) -> None:
        if len(directories) > MOST_RUNS:
            raise InputError(f"{len(directories)} runs: a report has at most {MOST_RUNS}")
        self._sources = [_Source(open_run(each), _SAMPLE_BYTES // len(directories)) for each in directories]
        self._live = live

    def read(self) -> Page:
        """Return the data of the page."""
        for source in self._sources:
            source.update()
        stages = _merge_stages([source.stages for source in self._sources])
        curves = [charts.StageTracks(name, kind) for name, kind in stages]
        for number, source in enumerate(self._sources):
            for each in curves:
                source.add_curves(each, number, several=len(self._sources) > 1)
        steps, drawn = charts.draw(curves)
        return Page(
            written=datetime.now(UTC).isoformat(timespec="seconds"),
            live=self._live and any(source.run.state == "running" for source in self._sources),
            runs=[source.describe() for source in self._sources],
            curves=Curves(steps=steps, stages=[each for each in drawn if each.topics or each.notes]),
            evaluations=evaluations.merge([source.read_evaluations(number) for number, source in enumerate(self._sources)]),
            health=[
                found
                for number, source in enumerate(self._sources)
                for name, samples in source.samples.items()
                if (found := samples.health(number, show(name))) is not None
            ],
            samples=self._choose_samples(),
            settings=list_settings([source.run.recipe for source in self._sources]),
        )

    def write(self, path: Path, *, fsync: bool = True) -> Page:
        """Write the file; a reader sees the old file or the complete new one.

        Raises:
            StepError: The file cannot be written; the old one is unchanged.
        """
        page = self.read()
        rendering.write(page, path, fsync=fsync)
        return page

    def _choose_samples(self) -> Samples:
        parts = [(number, *each) for number, source in enumerate(self._sources) for each in source.samples.items()]
        parts = [part for part in parts if part[2].total]
        prompts: dict[str, int] = {}
        shown, notes = [], []
        for number, stage, samples in parts:
            chosen = samples.choose(_SAMPLE_BYTES // len(parts))
            shown += [_to_shown(number, show(stage), kept, prompts) for kept in chosen]
            name = f"{show(self._sources[number].run.name)}, " if len(self._sources) > 1 else ""
            notes.append(f"{name}{show(stage)}: {count_text(chosen, samples.total)}")
        return Samples(prompts=list(prompts), shown=shown, notes=notes)


class _Source:
    """What was read of a run."""

    def __init__(self, run: Run, sample_bytes: int) -> None:
        self.run = run
        self.samples: dict[str, StageSamples] = {}
        self._sample_bytes = sample_bytes
        self._tails: dict[str, MetricsTail] = {}
        self._tracks: dict[str, dict[str, Track]] = {}
        self._checkpoints: dict[str, Checkpoints] = {}
        self._evaluations = evaluations.Evaluations()

    @property
    def stages(self) -> Sequence[Stage]:
        return self.run.stages

    def update(self) -> None:
        """Read what the run has added."""
        self.run = open_run(self.run.directory)
        for stage in self.run.stages:
            tail = self._tails.setdefault(stage.name, MetricsTail(stage.paths.metrics))
            rows, replaced = tail.read()
            if replaced or stage.name not in self._tracks:
                self._tracks[stage.name] = {}
            add_rows(self._tracks[stage.name], rows)
            if stage.name not in self.samples:
                self.samples[stage.name] = StageSamples(stage.paths, self._sample_bytes)
            self.samples[stage.name].update()

    def add_curves(self, curves: charts.StageTracks, number: int, *, several: bool) -> None:
        """Add the curves of a stage, if the run has it."""
        if curves.stage not in self._tracks:
            return
        samples, unreadable = self.samples[curves.stage], self._tails[curves.stage].unreadable
        curves.runs[number] = {**self._tracks[curves.stage], **samples.tracks}
        if unreadable:
            of = f" of {show(self.run.name)}" if several else ""
            curves.notes.append(f"{unreadable:,} lines of metrics.jsonl{of} cannot be read and are left out")

    def read_evaluations(self, number: int) -> list[EvaluatedSet]:
        """Return what the models of the run reached."""
        return self._evaluations.read(number, self.run, self.run.recipe)

    def describe(self) -> RunPart:
        """Return the run with its stages and steps."""
        run, manifest = self.run, self.run.manifest
        steps = [step_row(step) for step in run.steps]
        return RunPart(
            name=show(run.name),
            directory=show(str(run.directory.absolute())),
            state=run.state,
            project=show(manifest.project),
            platform=show(manifest.platform),
            smoke=manifest.smoke,
            command=one_line(shlex.join(manifest.command), 1000),
            folder=show(manifest.folder),
            seconds=sum(step.seconds or 0.0 for step in steps),
            stages=[self._describe_stage(stage) for stage in run.stages],
            steps=steps,
            pins=[
                Pinned(trainer=show(each.trainer), version=show(each.version), lock=each.lock, python=show(each.python))
                for each in manifest.pins
            ],
            notes=list(_notes(run)),
        )

    def _describe_stage(self, stage: Stage) -> StageCard:
        checkpoints = self._checkpoints.setdefault(stage.name, Checkpoints()).read(stage)
        return stage_card(self.run, stage, self.run.recipe, self._tracks[stage.name], checkpoints)


def _notes(run: Run) -> Sequence[str]:
    """Return what is not known of a run."""
    notes = []
    if not run.manifest.project:
        notes.append("an earlier version of this project ran it: command, versions and pins were not recorded")
    if not run.recipe:
        notes.append("recipe.yaml is missing or cannot be read")
    return notes


def _merge_stages(runs: Sequence[Sequence[Stage]]) -> list[tuple[str, Any]]:
    """Return name and kind of the stages of all runs, in the order of the first run that has each."""
    kinds: dict[str, str] = {}
    for stages in runs:
        for stage in stages:
            kinds.setdefault(stage.name, stage.entry.kind)
    return list(kinds.items())


def _to_shown(run: int, stage: str, kept: Kept, prompts: dict[str, int]) -> Sample:
    sample = kept.sample
    values: Mapping[str, float] = {name: float(f"{value:.5g}") for name, value in sample.values.items()}
    return Sample(
        run=run,
        stage=stage,
        split=sample.split,
        step=sample.step,
        source=sample.source,
        row=sample.row,
        group=sample.group,
        number=sample.number,
        of=kept.of,
        score=sample.score,
        values=dict(values),
        reason=sample.reason,
        truth=sample.truth,
        prompt=prompts.setdefault(sample.prompt, len(prompts)),
        response=sample.response,
        tokens=sample.tokens,
        calls=sample.calls,
        cut=sample.cut,
        constant=kept.constant,
    )
