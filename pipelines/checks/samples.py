"""Convert the first rows of a stage's sources, without writing anything."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.checks.findings import Finding, Report
from pipelines.checks.teaching import RowFacts, describe_batch
from pipelines.recipe.loading import Loaded
from pipelines.recipe.schema import Recipe, RlStage, SftStage
from preprocess.config import Source
from preprocess.converters import find
from preprocess.engine.convert import Converted, stream
from preprocess.engine.job import Reject
from preprocess.engine.job import Source as Rows
from preprocess.errors import SourceError
from preprocess.rows import Row
from rewards.wording import count

ROWS = 200
"""Rows of each source that a trainer gets."""

COUNTED = 2000
"""Rows of each source that are counted, if there is time."""


@dataclass
class Reader:
    """One source, converted as far as requested."""

    name: str
    """The converter and the name of the file."""
    times: int
    """How often it is among the sources of the training rows."""
    stream: Iterator[list[Row] | Reject]
    converted: Converted = field(default_factory=Converted)
    ended: bool = False
    """Whether the source has no more records."""

    def read(self, rows: int, until: float = float("inf")) -> list[Row]:
        """Return the first `rows` rows; fewer at the time `until` of `time.monotonic`."""
        while len(self.converted.rows) < rows and not self.ended and time.monotonic() < until:
            each = next(self.stream, None)
            if each is None:
                self.ended = True
                break
            self.converted.records += 1
            if isinstance(each, Reject):
                self.converted.rejects.append(each)
            else:
                self.converted.rows += each
        return self.converted.rows[:rows]


@dataclass
class Sample:
    """The sources of a stage."""

    recipe: Recipe
    stage: SftStage | RlStage
    where: str
    """The place of the sources in the recipe."""
    readers: list[Reader] = field(default_factory=list)
    missing: list[Finding] = field(default_factory=list)
    """Sources that are not on this machine."""

    def read(self, rows: int, report: Report, seconds: float = float("inf")) -> dict[str, list[Row]]:
        """Return the first rows of each source; add mistakes in the recipe to the report."""
        found, until = {}, time.monotonic() + seconds
        for reader in list(self.readers):
            try:
                found[reader.name] = reader.read(rows, until)
            except SourceError as error:
                report.add_problem(f"{self.where}: stages.{self.stage.name}.data: {error}")
                self.readers.remove(reader)
        return found

    def first(self) -> RowFacts:
        """Return what the first row of each source says; sources with mistakes are left out: others report them."""
        facts = RowFacts(complete=False)
        for reader in self.readers:
            with suppress(SourceError):
                facts.add(reader.read(1))
        return facts

    def findings(self) -> Iterator[Finding]:
        """Return the number of rows and records of each source."""
        yield from self.missing
        for reader in self.readers:
            yield self._judge(reader)
        facts = self.facts()
        if facts.complete and (result := describe_batch(self.stage, self.recipe, facts.train)):
            yield Finding(self.stage.name, "rows", result, "wrong")

    def facts(self) -> RowFacts:
        """Return what is known of the stage's rows."""
        train = sum(reader.times * len(reader.converted.rows) for reader in self.readers)
        complete = bool(self.readers) and not self.missing and all(reader.ended for reader in self.readers)
        facts = RowFacts(train, complete)
        for reader in self.readers:
            facts.add(reader.converted.rows)
        return facts

    def _judge(self, reader: Reader) -> Finding:
        converted, what = reader.converted, f"rows of {reader.name}"
        rejected = [each for each in converted.rejects if each.kind == "rejected"]
        first = next(iter(rejected or converted.rejects), None)
        reason = f", first {first.source}:{first.line}: {first.reason}" if first else ""
        if not converted.rows:
            return Finding(self.stage.name, what, f"no rows from {count(converted.records, 'record')}{reason}", "wrong")
        which = "all" if reader.ended else "the first"
        result = f"{count(len(converted.rows), 'row')} from {which} {count(converted.records, 'record')}"
        if left_out := len(converted.rejects) - len(rejected):
            result += f"; {left_out:,} left out by its options"
        if not rejected:
            return Finding(self.stage.name, what, result)
        result += f"; {len(rejected):,} rejected{reason}"
        limit = self.stage.data.max_rejects
        if reader.ended and len(self.readers) == 1 and len(rejected) > limit * converted.records:
            return Finding(self.stage.name, what, f"{result}; more than max_rejects {limit:g} allows", "wrong")
        return Finding(self.stage.name, what, result, "note")


def open_sample(loaded: Loaded, stage: SftStage | RlStage, *, quick: bool = False) -> Sample:
    """Return a stage's sources, each once, without reading them.

    Args:
        quick: Leave out those whose conversion runs programs.
    """
    sample = Sample(loaded.recipe, stage, loaded.where("stages", stage.name, "data"))
    sources = {json.dumps(each.model_dump(), sort_keys=True): each for each in stage.sources}
    names: set[str] = set()
    for source in sources.values():
        path = Path(source.source)
        name = f"{source.converter} {path.name if path.is_absolute() else source.source}"
        while name in names:  # the same file with other options
            name += "'"
        names.add(name)
        if quick and _runs_programs(source, stage):
            continue
        if path.exists():
            file = Path(source.file) if source.file else None
            rows = Rows(source.converter, path, source.limit, source.options, file)
            sample.readers.append(Reader(name, stage.data.train_sources.count(source), stream(rows, stage.kind)))
        else:
            sample.missing.append(Finding(stage.name, f"rows of {name}", "not on this machine", "unchecked"))
    return sample


def _runs_programs(source: Source, stage: SftStage | RlStage) -> bool:
    """Return whether rows of a source come from running programs; True, too, if its converter has a mistake."""
    try:
        converter = find(source.converter, Path(source.file) if source.file else None)
        return converter.runs_programs or bool(converter.read_options(source.options).runs_programs(stage.kind))
    except SourceError:
        return True
