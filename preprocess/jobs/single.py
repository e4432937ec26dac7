"""One source into one parquet file, or each file of it into one of its own; what gave no rows lies beside them."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import IO

from preprocess import atomic
from preprocess.engine.convert import Part
from preprocess.engine.job import Job, Source
from preprocess.engine.parallel import Convert, convert_all
from preprocess.engine.progress import Progress
from preprocess.engine.shuffling import Shuffle, ShuffledRows
from preprocess.engine.splits import Whole
from preprocess.engine.tally import Tally, to_line
from preprocess.engine.writing import RowsFile
from preprocess.errors import PrepareError, SourceError
from preprocess.rows import Shape
from preprocess.sources.reading import KINDS, measure


@dataclass(frozen=True)
class Conversion:
    """What becomes what."""

    source: Source
    shape: Shape
    output: Path
    """A parquet file; with `per_file` a folder."""
    per_file: bool = False
    """Whether each file of the source becomes one of its own, at the same path under the output."""
    shuffle: bool = False
    """Whether the rows of each file that is written are mixed."""
    seed: int = 17
    max_rejects: float = 0.01
    """Share of the records, with `per_file` of each file's, that may be rejected."""

    @property
    def rejects(self) -> Path:
        """The rejects file: one for all."""
        return self.output / "rejects.jsonl" if self.per_file else self.output.with_suffix(".rejects.jsonl")

    def find_target(self, path: Path) -> Path:
        """Where the rows of one of the source's files go."""
        if not self.per_file:
            return self.output
        source = self.source.source
        relative = path.relative_to(source) if path != source else Path(path.name)
        ending = next((each for each in sorted(KINDS, key=len, reverse=True) if relative.name.endswith(each)), relative.suffix)
        return self.output / relative.with_name(f"{relative.name.removesuffix(ending)}.parquet")

    def check(self) -> None:
        """Raises:
        SourceError: the output is of the wrong kind, or the source or a part of it.
        """
        source, output = self.source.source.resolve(), self.output.resolve()
        if self.per_file and output.is_file():
            raise SourceError(f"{self.output} is a file; expected a folder for the files that are made")
        if not self.per_file and (output.suffix != ".parquet" or output.is_dir()):
            raise SourceError(f"{self.output}: expected the name of a .parquet file")
        within = (source.is_dir() and output.is_relative_to(source)) or (self.per_file and source.is_relative_to(output))
        if within or source in (output, self.rejects.resolve()):
            raise SourceError(f"{self.output} and the source {self.source.source} overlap; the output has to lie elsewhere")


@dataclass
class Result:
    """What came of it."""

    tally: Tally = field(default_factory=Tally)
    files: dict[Path, int] = field(default_factory=dict)
    """The files that were written, with their rows."""

    @property
    def rows(self) -> int:
        """The rows of all files."""
        return sum(self.files.values())


def convert_source(conversion: Conversion, progress: Progress | None = None, convert: Convert = convert_all) -> Result:
    """Makes the files; each appears when it is whole, and memory does not grow with the source.

    Args:
        convert: what converts, on this machine or on others.

    Raises:
        SourceError: a mistake in what was given.
        PrepareError: too many rejects, or no rows; the rejects file is written all the same.
        SandboxError: programs cannot be run.
        OSError: a file cannot be written.
    """
    conversion.check()
    job = Job(conversion.source, conversion.shape, Whole("train"), shuffle=_find_shuffle(conversion))
    job.read()  # mistakes are found before anything is written
    conversion.rejects.parent.mkdir(parents=True, exist_ok=True)
    atomic.sweep(conversion.rejects.parent)
    result = Result()
    with (
        atomic.open_text(conversion.rejects) as rejects,
        closing(_watch(convert([job]), conversion, result, progress)) as parts,
    ):
        problem = _write(parts, conversion, result, rejects)
    if problem is not None:
        raise problem
    return result


def _watch(parts: Iterator[Part], conversion: Conversion, result: Result, progress: Progress | None) -> Generator[Part]:
    """The parts, counted as they pass."""
    total, done = measure(conversion.source.source), 0
    for part in parts:
        yield part
        result.tally.add(part)
        done += part.size
        if progress is not None:
            progress(min(done, total), total, result.tally.records)


def _write(parts: Iterator[Part], conversion: Conversion, result: Result, rejects: IO[str]) -> PrepareError | None:
    """Writes the files one after the other; what is wrong with the records, if something is."""
    for path, those in groupby(parts, key=lambda part: part.path if conversion.per_file else None):
        target = conversion.output if path is None else conversion.find_target(path)
        if target in result.files:
            raise SourceError(f"{path}: the file before it is called {target}, too, once it is converted; rename one of them")
        target.parent.mkdir(parents=True, exist_ok=True)
        rows = RowsFile(target, conversion.shape, "train")
        file = ShuffledRows(rows, shuffle) if (shuffle := _find_shuffle(conversion)) else rows
        tally = Tally()
        try:
            for part in those:
                tally.add(part)
                rejects.writelines(to_line(reject) for reject in part.rejects)
                for split, batch in part.batches.items():
                    file.write(batch, part.buckets.get(split, ()))
            if problem := tally.find_problem(conversion.max_rejects, conversion.rejects):
                return problem
            if file.rows:
                file.keep()
                result.files[target] = file.rows
        finally:
            file.discard()
    return None if result.files else PrepareError(f"no rows came of {result.tally.records:,} records; see {conversion.rejects}")


def _find_shuffle(conversion: Conversion) -> Shuffle | None:
    return Shuffle.of(conversion.seed, measure(conversion.source.source)) if conversion.shuffle else None
