"""The first rows of a stage's sources, really converted; nothing is written."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.checks.findings import Finding, Report
from pipelines.recipe.loading import Loaded
from pipelines.recipe.schema import RlStage, SftStage
from pipelines.run.plan import all_sources
from preprocess.config import Source
from preprocess.engine.convert import Converted, stream
from preprocess.engine.job import Reject
from preprocess.engine.job import Source as Rows
from preprocess.errors import SourceError
from preprocess.rows import Row

ROWS = 200
"""Rows of each source on which a trainer is asked."""

COUNTED = 2000
"""Rows of each source that are counted, unless time runs out."""


@dataclass
class Reader:
    """One source, converted as far as anybody has asked."""

    name: str
    """The converter, and the file as a person knows it."""
    stream: Iterator[list[Row] | Reject]
    made: Converted = field(default_factory=Converted)
    ended: bool = False
    """Whether that is all there is."""

    def read(self, rows: int, until: float = float("inf")) -> list[Row]:
        """Converts on until there are so many rows, or the clock (`time.monotonic`) says so; the first rows.

        Raises:
            SourceError, SandboxError: as `preprocess.engine.convert.stream`.
        """
        while len(self.made.rows) < rows and not self.ended and time.monotonic() < until:
            each = next(self.stream, None)
            if each is None:
                self.ended = True
                break
            self.made.records += 1
            if isinstance(each, Reject):
                self.made.rejects.append(each)
            else:
                self.made.rows += each
        return self.made.rows[:rows]


@dataclass
class Sample:
    """A stage's sources."""

    stage: SftStage | RlStage
    where: str
    """Where the recipe says them."""
    readers: list[Reader] = field(default_factory=list)
    absent: list[Finding] = field(default_factory=list)
    """Sources that are not on this machine."""

    def read(self, rows: int, report: Report, seconds: float = float("inf")) -> dict[str, list[Row]]:
        """The first rows of each source; a mistake in the recipe that shows in them goes into the report.

        Raises:
            SandboxError: programs cannot be run.
        """
        found, until = {}, time.monotonic() + seconds
        for reader in list(self.readers):
            try:
                found[reader.name] = reader.read(rows, until)
            except SourceError as error:
                report.refuse(f"{self.where}: stages.{self.stage.name}.data: {error}")
                self.readers.remove(reader)
        return found

    def findings(self) -> Iterator[Finding]:
        """How many rows came of how many records, source by source."""
        yield from self.absent
        for reader in self.readers:
            yield self._judge(reader)
        rows = sum(len(reader.made.rows) for reader in self.readers)
        whole = self.readers and not self.absent and all(reader.ended for reader in self.readers)
        if isinstance(self.stage, RlStage) and whole and 0 < rows < self.stage.batch.prompts:
            said = f"{rows:,} rows in all, fewer than the {self.stage.batch.prompts:,} prompts of one step"
            yield Finding(self.stage.name, "rows", said, "wrong")

    def _judge(self, reader: Reader) -> Finding:
        made, what = reader.made, f"rows of {reader.name}"
        rejected = [each for each in made.rejects if each.kind == "rejected"]
        first = next(iter(rejected or made.rejects), None)
        why = f", first {first.source}:{first.line}: {first.reason}" if first else ""
        if not made.rows:
            return Finding(self.stage.name, what, f"no row comes of the {made.records:,} records{why}", "wrong")
        of = f"all {made.records:,} records" if reader.ended else f"the first {made.records:,} records"
        said = f"{len(made.rows):,} rows of {of}"
        if left_out := len(made.rejects) - len(rejected):
            said += f"; {left_out:,} left out, as its options ask"
        if not rejected:
            return Finding(self.stage.name, what, said)
        said += f"; {len(rejected):,} rejected{why}"
        limit = self.stage.data.max_rejects
        if reader.ended and len(self.readers) == 1 and len(rejected) > limit * made.records:
            return Finding(self.stage.name, what, f"{said}; more than max_rejects {limit:g} allows", "wrong")
        return Finding(self.stage.name, what, said, "note")


def open_sample(loaded: Loaded, stage: SftStage | RlStage) -> Sample:
    """A stage's sources, each once, none read yet."""
    where = loaded.where("stages", stage.name, "data")
    sample = Sample(stage, where)
    sources = {json.dumps(each.model_dump(), sort_keys=True): each for each in all_sources(stage.data)}
    names: set[str] = set()
    for source in sources.values():
        name = _name(source)
        while name in names:  # the same file with other options
            name += "'"
        names.add(name)
        if Path(source.source).exists():
            file = Path(source.file) if source.file else None
            rows = Rows(source.converter, Path(source.source), source.limit, source.options, file)
            sample.readers.append(Reader(name, stream(rows, stage.kind)))
        else:
            said = "not on this machine: its rows were not looked at"
            sample.absent.append(Finding(stage.name, f"rows of {name}", said, "unchecked"))
    return sample


def _name(source: Source) -> str:
    path = Path(source.source)
    return f"{source.converter} {path.name if path.is_absolute() else source.source}"
