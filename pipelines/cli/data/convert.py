"""`pipeline data convert`."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipelines.cli.common import in_sandbox, read_options
from pipelines.cli.data import outcomes
from pipelines.cli.data.lengths import count_tokens, find_counter
from pipelines.console import tables
from pipelines.environments import find_ready, find_with_ray
from pipelines.errors import InputError, StepError
from pipelines.run.process import signals_as_stopped
from preprocess import converters
from preprocess.engine.job import Source
from preprocess.engine.parallel import Convert, convert_all
from preprocess.errors import PrepareError, SourceError
from preprocess.jobs.single import Conversion, convert_source
from preprocess.ray.cluster import Cluster
from preprocess.rows import Shape
from preprocess.sources.hub import Fetcher, read_hub_name
from rewards import sandbox
from rewards.suggestions import nearest_path


@dataclass(frozen=True)
class Arguments:
    """The arguments of the command."""

    converter: str
    source: Path
    output: Path
    shape: Shape | None
    options: list[str]
    limit: int | None
    file: Path | None
    shuffle: bool
    seed: int
    per_file: bool
    max_rejects: float
    tokenizer: str | None
    isolation: Literal["strong", "weak"]
    url: str | None
    ray: str | None

    def to_conversion(self, place: Path) -> Conversion:
        """Return the conversion of the source at `place`.

        Raises:
            InputError: an option cannot be read, or the shape is ambiguous.
            SourceError: an unknown converter.
        """
        source = Source(self.converter, place, self.limit, read_options(self.options), self.file)
        return Conversion(source, self.find_shape(), self.output, self.per_file, self.shuffle, self.seed, self.max_rejects)

    def find_shape(self) -> Shape:
        """Return the given shape; default: the only one that the converter makes."""
        shapes = converters.find(self.converter, self.file).shapes
        if self.shape is None and len(shapes) > 1:
            raise InputError(f"converter {self.converter} makes {' and '.join(shapes)} rows; choose one: --shape {shapes[0]}")
        return self.shape or shapes[0]


def convert(arguments: Arguments) -> None:
    """Convert a source and print the outcome.

    Raises:
        InputError: a mistake in the arguments or the source.
        StepError: too many rejects, no rows, a full disk; existing files are unchanged.
    """
    with one_line_errors(), in_sandbox(arguments.isolation, arguments.url), signals_as_stopped():
        # Report mistakes in the arguments before downloading or writing anything.
        arguments.to_conversion(arguments.source)
        counter = find_counter(arguments.tokenizer) if arguments.tokenizer else None
        convert_there = _find_cluster(arguments) if arguments.ray else convert_all
        with _find_source(arguments) as place:
            conversion = arguments.to_conversion(place)
            with outcomes.show_progress("converting") as progress:
                result = convert_source(conversion, progress, convert_there)
    outcomes.print_result(conversion, result)
    if arguments.tokenizer and counter:
        outcomes.print_lengths(
            count_tokens(list(result.files), conversion.shape, arguments.tokenizer, counter), conversion.shape
        )
    tables.say(f"next: {shlex.join(['pipeline', 'data', 'show', str(next(iter(result.files)))])}")


def _find_cluster(arguments: Arguments) -> Convert:
    assert arguments.ray is not None
    settings = sandbox.Settings(url=arguments.url, isolation=arguments.isolation)
    environment = find_with_ray()
    return Cluster(arguments.ray, environment.python, settings, environment.variables).convert


@contextmanager
def _find_source(arguments: Arguments) -> Iterator[Path]:
    """Yield the path of the source; a hub data set is downloaded for the duration of the block."""
    if arguments.source.exists():
        yield arguments.source
        return
    name = read_hub_name(arguments.source)
    if name is None:
        raise InputError(f"source not found: {arguments.source}{nearest_path(arguments.source)}")
    environment = find_ready()
    if environment is None:
        raise InputError(
            f"{arguments.source} is not on this machine; downloading it needs a trainer's environment: "
            "build one with `pipeline env sync llamafactory`"
        )
    folder = arguments.output.with_name(f".{arguments.output.stem}.hub")
    try:
        yield Fetcher(environment.python, folder).fetch(name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Report errors in data as errors of the command line."""
    try:
        yield
    except SourceError as error:
        raise InputError(str(error)) from error
    except PrepareError as error:
        raise StepError(str(error)) from error
    except OSError as error:
        where = f"{error.filename}: " if error.filename else "a file cannot be written: "
        raise StepError(f"{where}{error.strerror or error}") from error
