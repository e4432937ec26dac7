"""Convert one source into one parquet file, or each of its files into its own; the rejects are in a file next to them."""

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
from preprocess.engine.shuffling import Shuffle, open_rows
from preprocess.engine.splits import Whole
from preprocess.engine.tally import Tally, to_line
from preprocess.errors import PrepareError, SourceError
from preprocess.rows import Shape
from preprocess.sources.reading import KINDS, measure


@dataclass(frozen=True)
class Conversion:
    """One source, its output and the options."""

    source: Source
    shape: Shape
    output: Path
    """A parquet file; a folder with `per_file`."""
    per_file: bool = False
    """Write one file per source file, at the same path under the output."""
    shuffle: bool = False
    """Shuffle the rows of each written file."""
    seed: int = 17
    max_rejects: float = 0.01
    """Share of the records (of each file's with `per_file`) that may be rejected."""

    @property
    def rejects(self) -> Path:
        """The one rejects file."""
        return self.output / "rejects.jsonl" if self.per_file else self.output.with_suffix(".rejects.jsonl")

    def find_target(self, path: Path) -> Path:
        """Return the output file of a source file."""
        if not self.per_file:
            return self.output
        source = self.source.source
        relative = path.relative_to(source) if path != source else Path(path.name)
        ending = next((each for each in sorted(KINDS, key=len, reverse=True) if relative.name.endswith(each)), relative.suffix)
        return self.output / relative.with_name(f"{relative.name.removesuffix(ending)}.parquet")

    def check(self) -> None:
        """Check the output's name, and that it does not overwrite the source.

        Raises:
            SourceError: The name is wrong, or the paths overlap.
        """
        source, output = self.source.source.resolve(), self.output.resolve()
        if self.per_file and output.is_file():
            raise SourceError(f"{self.output} is a file; expected a folder for the converted files")
        if not self.per_file and (output.suffix != ".parquet" or output.is_dir()):
            raise SourceError(f"{self.output}: expected the name of a .parquet file")
        within = (source.is_dir() and output.is_relative_to(source)) or (self.per_file and source.is_relative_to(output))
        if within or source in (output, self.rejects.resolve()):
            raise SourceError(f"{self.output} and the source {self.source.source} overlap; choose an output elsewhere")

    def make_shuffle(self) -> Shuffle | None:
        """Return how the rows are shuffled, if they are."""
        return Shuffle.of(self.seed, measure(self.source.source)) if self.shuffle else None


@dataclass
class Result:
    """The outcome of a conversion."""

    tally: Tally = field(default_factory=Tally)
    files: dict[Path, int] = field(default_factory=dict)
    """Written file -> its number of rows."""

    @property
    def rows(self) -> int:
        """The rows of all files."""
        return sum(self.files.values())


def convert_source(conversion: Conversion, progress: Progress | None = None, convert: Convert = convert_all) -> Result:
    """Convert a source; each file appears when it is complete, and memory use does not depend on the source's size.

    Args:
        convert: Converts the jobs, on this machine or on others.

    Raises:
        SourceError: A mistake in the conversion or its source.
        PrepareError: Too many rejects, or no rows; the rejects file is written nevertheless.
        SandboxError: Programs cannot be run.
        OSError: A file cannot be written.
    """
    conversion.check()
    job = Job(conversion.source, conversion.shape, Whole("train"), shuffle=conversion.make_shuffle())
    job.read()  # finds mistakes before anything is written
    conversion.rejects.parent.mkdir(parents=True, exist_ok=True)
    atomic.sweep(conversion.rejects.parent)
    result = Result()
    parts = _count(convert([job]), conversion, result, progress)
    with atomic.open_text(conversion.rejects) as rejects, closing(parts):
        problem = _write(parts, conversion, result, rejects)
    if problem is not None:
        raise problem
    return result


def _count(parts: Iterator[Part], conversion: Conversion, result: Result, progress: Progress | None) -> Generator[Part]:
    """Yield the parts, and count each once it is written."""
    total, done = measure(conversion.source.source), 0
    for part in parts:
        yield part
        result.tally.add(part)
        done += part.size
        if progress is not None:
            progress(min(done, total), total, result.tally.records)


def _write(parts: Iterator[Part], conversion: Conversion, result: Result, rejects: IO[str]) -> PrepareError | None:
    """Write the files one after the other; return an error if there are too many rejects or no rows."""
    for path, those in groupby(parts, key=lambda part: part.path if conversion.per_file else None):
        target = conversion.output if path is None else conversion.find_target(path)
        if target in result.files:
            raise SourceError(f"{path}: converted, it would overwrite {target} of the file before it; rename one of them")
        target.parent.mkdir(parents=True, exist_ok=True)
        file = open_rows(target, conversion.shape, "train", conversion.make_shuffle())
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
    return None if result.files else result.tally.explain_no_rows("rows", conversion.rejects)
