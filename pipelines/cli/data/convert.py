"""`pipeline data convert`."""

from __future__ import annotations

import json
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pipelines.cli.common import in_sandbox
from pipelines.cli.data import outcomes
from pipelines.console import tables
from pipelines.console.progress import bar
from pipelines.environments import Environment, find_ready, find_with_ray
from pipelines.environments.ask import AskError, call
from pipelines.errors import InputError, StepError, file_error
from pipelines.run.process import signals_as_stopped
from preprocess import converters
from preprocess.engine.job import Source
from preprocess.engine.parallel import convert_all
from preprocess.errors import PrepareError, SourceError
from preprocess.jobs.single import Conversion, convert_source
from preprocess.ray.cluster import Cluster
from preprocess.rows import Shape
from preprocess.sources.hub import Fetcher, read_hub_name
from rewards.suggestions import nearest_path


def find_shape(source: Source, shape: Shape | None) -> Shape:
    """Return the given shape; default: the only one that the converter makes.

    Raises:
        InputError: an unknown converter, or one that makes both shapes.
    """
    with one_line_errors():
        shapes = converters.find(source.converter, source.file).shapes
    if shape is None and len(shapes) > 1:
        raise InputError(f"converter {source.converter} makes {' and '.join(shapes)} rows; choose one: --shape {shapes[0]}")
    return shape or shapes[0]


def convert(
    conversion: Conversion, tokenizer: str | None, isolation: Literal["strong", "weak"], url: str | None, ray: str | None
) -> None:
    """Convert a source and print the outcome.

    Args:
        conversion: its source may be a hub name.
        tokenizer: the model folder or hub name whose tokens are counted.
        isolation: the least isolation of programs.
        url: the SandboxFusion service.
        ray: the address of the cluster to convert on.

    Raises:
        InputError: a mistake in the arguments or the source.
        StepError: too many rejects, no rows, a full disk; existing files are unchanged.
    """
    with one_line_errors(), in_sandbox(isolation, url) as settings, signals_as_stopped():
        # Report mistakes in the arguments before downloading or writing anything.
        counter = _find_counter(tokenizer) if tokenizer else None
        convert_parts = convert_all
        if ray:
            environment = find_with_ray()
            convert_parts = Cluster(ray, environment.python, settings, environment.variables).convert
        with _local(conversion) as local, bar("converting") as step:

            def progress(done: int, total: int, records: int) -> None:
                step(done, total, f"{done / total:.0%} {records:,} records" if total else f"{records:,} records")

            result = convert_source(local, progress, convert_parts)
    outcomes.print_result(conversion, result)
    if tokenizer and counter:
        outcomes.print_lengths(_count_tokens([*result.files], conversion.shape, tokenizer, counter), conversion.shape)
    tables.say(f"next: {shlex.join(['pipeline', 'data', 'show', str(next(iter(result.files)))])}")


def _find_counter(tokenizer: str) -> Environment:
    if not Path(tokenizer).exists() and read_hub_name(Path(tokenizer)) is None:
        raise InputError(f"--tokenizer: folder not found: {tokenizer}{nearest_path(Path(tokenizer))}")
    return _find_environment("--tokenizer")


def _find_environment(what: str) -> Environment:
    environment = find_ready()
    if environment is None:
        raise InputError(f"{what} needs a trainer's environment; build one with `pipeline env sync llamafactory`")
    return environment


def _count_tokens(files: Sequence[Path], shape: Shape, tokenizer: str, environment: Environment) -> dict[Path, dict[str, Any]]:
    """Return the prompt lengths of each file, as `preprocess.prompts.lengths` summarises them.

    Raises:
        StepError: a prompt does not render, or the tokenizer does not load.
    """
    model = str(Path(tokenizer).absolute()) if Path(tokenizer).exists() else tokenizer
    with tempfile.TemporaryDirectory() as folder:
        config, output = Path(folder, "prompts.json"), Path(folder, "lengths.json")
        named = {str(path): str(path.absolute()) for path in files}
        stage = {"name": "rows", "shape": shape, "model": model, "files": named, "output": str(output)}
        config.write_text(json.dumps({"stages": [stage]}), encoding="utf-8")
        variables = {"HF_HUB_DISABLE_TELEMETRY": "1", **environment.variables}
        try:
            call(environment.python, ["-m", "preprocess.prompts.lengths", str(config)], variables=variables)
        except AskError as error:
            reason = str(error).removeprefix("error: ")
            raise StepError(f"the rows were written, but their tokens were not counted: {reason}") from None
        found: dict[str, dict[str, Any]] = json.loads(output.read_text(encoding="utf-8"))["files"]
    return {path: found[str(path)] for path in files}


@contextmanager
def _local(conversion: Conversion) -> Iterator[Conversion]:
    """Yield the conversion of a local source; a hub data set is downloaded for the duration of the block."""
    source, output = conversion.source.source, conversion.output
    if source.exists():
        yield conversion
        return
    name = read_hub_name(source)
    if name is None:
        raise InputError(f"source not found: {source}{nearest_path(source)}")
    environment = _find_environment(f"{source} is not on this machine; downloading it")
    folder = output.with_name(f".{output.stem}.hub")
    try:
        fetched = Fetcher(environment.python, folder).fetch(name)
        yield replace(conversion, source=replace(conversion.source, source=fetched))
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
        raise file_error(f"{where}{error.strerror or error}", error) from error
