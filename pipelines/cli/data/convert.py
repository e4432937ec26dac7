"""What `pipeline data convert` does, from its arguments to its exit."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipelines.cli.data import outcomes
from pipelines.cli.data.lengths import count_tokens, find_counter
from pipelines.cli.options import read_options
from pipelines.console import tables
from pipelines.environments.ready import find_ready, find_with_ray
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
from rewards.sandbox import SandboxError
from rewards.suggestions import nearest_path


@dataclass(frozen=True)
class Asked:
    """The arguments, as a person gave them."""

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
        """As the conversion takes it, the source being at that place.

        Raises:
            InputError: an option is unreadable, or the shape is needed and not said.
            SourceError: there is no such converter.
        """
        source = Source(self.converter, place, self.limit, read_options(self.options), self.file)
        return Conversion(source, self.find_shape(), self.output, self.per_file, self.shuffle, self.seed, self.max_rejects)

    def find_shape(self) -> Shape:
        """The shape that was said, or the only one that the converter makes."""
        shapes = converters.find(self.converter, self.file).shapes
        if self.shape is None and len(shapes) > 1:
            raise InputError(f"converter {self.converter} makes {' and '.join(shapes)} rows; say which: --shape {shapes[0]}")
        return self.shape or shapes[0]


def convert(asked: Asked) -> None:
    """Converts, and prints what came of it.

    Raises:
        InputError: a mistake in the arguments or the source.
        StepError: too many rejects, no rows, a full disk; what was there before is untouched.
    """
    with one_line_errors(), in_sandbox(asked.isolation, asked.url), signals_as_stopped():
        # What is wrong with the arguments is said before anything is fetched or written.
        asked.to_conversion(asked.source)
        counter = find_counter(asked.tokenizer) if asked.tokenizer else None
        convert_there = _find_cluster(asked) if asked.ray else convert_all
        with _find_source(asked) as place:
            conversion = asked.to_conversion(place)
            with outcomes.show_progress("converting") as progress:
                result = convert_source(conversion, progress, convert_there)
    outcomes.print_result(conversion, result)
    if asked.tokenizer and counter:
        outcomes.print_lengths(count_tokens(list(result.files), conversion.shape, asked.tokenizer, counter), conversion.shape)
    tables.say(f"next: {shlex.join(['pipeline', 'data', 'show', str(next(iter(result.files)))])}")


def _find_cluster(asked: Asked) -> Convert:
    assert asked.ray is not None
    settings = sandbox.Settings(url=asked.url, isolation=asked.isolation)
    environment = find_with_ray()
    return Cluster(asked.ray, environment.python, settings, environment.variables).convert


@contextmanager
def _find_source(asked: Asked) -> Iterator[Path]:
    """Where the source lies: on this machine, or fetched from the hub for as long as the block lasts."""
    if asked.source.exists():
        yield asked.source
        return
    name = read_hub_name(asked.source)
    if name is None:
        raise InputError(f"there is no source {asked.source}{nearest_path(asked.source)}")
    environment = find_ready()
    if environment is None:
        raise InputError(
            f"there is no {asked.source} here, and to fetch it from the hub takes `datasets`, which the trainers' environments "
            "have; build one with `pipeline env sync llamafactory`"
        )
    folder = asked.output.with_name(f".{asked.output.stem}.hub")
    try:
        yield Fetcher(environment.python, folder).fetch(name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """What can go wrong with data, as the command line's own errors."""
    try:
        yield
    except SourceError as error:
        raise InputError(str(error)) from error
    except PrepareError as error:
        raise StepError(str(error)) from error
    except SandboxError as error:
        raise StepError(f"{error}; see `pipeline doctor`") from error
    except OSError as error:
        where = f"{error.filename}: " if error.filename else "a file cannot be written: "
        raise StepError(f"{where}{error.strerror or error}") from error


@contextmanager
def in_sandbox(isolation: Literal["strong", "weak"], url: str | None) -> Iterator[None]:
    """Programs run where the person said."""
    sandbox.configure(sandbox.Settings(url=url, isolation=isolation))
    try:
        yield
    finally:
        sandbox.close_all()
