"""`python -m preprocess.jobs.prepare CONFIG.json`: convert a stage's sources into the files its trainer reads.

Writes train.parquet, validation.parquet, rejects.jsonl and summary.json, and for sft LLaMA-Factory's dataset_info.json.
The exit status is 2 for a mistake in the input and 1 for any other failure.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from preprocess import atomic
from preprocess.config import ComparedSet, Source, Split
from preprocess.engine import splits
from preprocess.engine.convert import Part
from preprocess.engine.job import KINDS, Filter, Job
from preprocess.engine.job import Source as LocalSource
from preprocess.engine.parallel import Convert, convert_all
from preprocess.engine.progress import Progress, progress_file
from preprocess.engine.shuffling import Shuffle, ShuffledRows, open_rows
from preprocess.engine.tally import Tally, to_line
from preprocess.engine.writing import RowsFile
from preprocess.errors import PrepareError, SourceError
from preprocess.filters.decontamination import DecontaminationFilter
from preprocess.filters.evaluation_sets import load_decontamination
from preprocess.filters.pass_rates import load_pass_rates
from preprocess.jobs.dataset_info import make_dataset_info
from preprocess.jobs.prepare_config import PrepareConfig, read_config_file
from preprocess.ray.cluster import Cluster
from preprocess.sources.hub import Fetcher, read_hub_name
from preprocess.sources.reading import measure
from rewards import sandbox
from rewards.wording import count as count_of

FetchedT = TypeVar("FetchedT", Source, ComparedSet)


def prepare(config: PrepareConfig, progress: Progress | None = None, convert: Convert = convert_all) -> dict[str, Any]:
    """Write the files; return the content of summary.json.

    Args:
        convert: Converts the jobs, on this machine or on others.

    Raises:
        SourceError: A mistake in the configuration or a source.
        PrepareError: Too many rejects, or no rows; a source on the hub cannot be downloaded.
        SandboxError: Programs cannot be run.
        OSError: The files cannot be written.
    """
    fetcher = Fetcher(config.hub.python, config.hub.folder) if config.hub is not None else None
    if fetcher is not None:
        config = _fetch(config, fetcher)
    decontamination = load_decontamination(config.decontaminate) if config.decontaminate else None
    if isinstance(config.validation, Split):
        rule = splits.Share.of(config.validation.fraction, config.seed)
        written = _write(config, convert(_make_jobs(config, config.train_sources, rule, decontamination)), progress)
        if len(written.outermost) == 1:
            raise SourceError("1 problem cannot be split into training and validation; configure separate validation sources")
        if written.outermost and not all(written.rows.values()):
            # With few problems, all may be in one split.
            rule = rule.move(*written.outermost)
            written = _write(config, convert(_make_jobs(config, config.train_sources, rule, decontamination)), progress)
    else:
        written = _write(config, _convert_separately(config, convert, decontamination), progress)
    return _summarise(config, written, decontamination, fetcher.revisions if fetcher is not None else {})


def _fetch(config: PrepareConfig, fetcher: Fetcher) -> PrepareConfig:
    """Download the sources with hub names; return the configuration with their folders instead."""
    own = config.validation == "own"
    changes: dict[str, Any] = {"train": [_fetch_one(each, fetcher, own) for each in config.train_sources]}
    if config.validation_sources:
        changes["validation"] = [_fetch_one(each, fetcher) for each in config.validation_sources]
    if config.decontaminate is not None:
        against = [_fetch_one(each, fetcher) for each in config.decontaminate.against]
        changes["decontaminate"] = config.decontaminate.model_copy(update={"against": against})
    return config.model_copy(update=changes)


def _fetch_one(source: FetchedT, fetcher: Fetcher, every_split: bool = False) -> FetchedT:
    name = read_hub_name(Path(source.source))
    if name is None:
        return source
    folder = fetcher.fetch(name, every_split, source.revision)
    return source.model_copy(update={"source": str(folder), "revision": None})


def _convert_separately(
    config: PrepareConfig, convert: Convert, decontamination: DecontaminationFilter | None
) -> Iterator[Part]:
    """Convert the validation rows first, to leave their problems out of the training rows."""
    own = config.validation == "own"
    held_out = config.train_sources if own else config.validation_sources
    problems: set[bytes] = set()
    for part in convert(_make_jobs(config, held_out, splits.Whole("validation"), split="validation" if own else None)):
        problems.update(part.digests)
        yield part
    rule = splits.Whole("train", frozenset(problems))
    yield from convert(_make_jobs(config, config.train_sources, rule, decontamination, "train" if own else None))


def _make_jobs(
    config: PrepareConfig,
    sources: Sequence[Source],
    rule: splits.SplitRule,
    decontamination: DecontaminationFilter | None = None,
    split: splits.Split | None = None,
) -> list[Job]:
    jobs: list[Job] = []
    shuffle = _make_shuffle(config)
    for each in sources:
        filters: list[Filter] = []
        if each.pass_rates is not None and split != "validation":
            filters.append(load_pass_rates(each.pass_rates))
        if decontamination is not None:
            filters.append(decontamination)
        file = Path(each.file) if each.file else None
        source = LocalSource(each.converter, Path(each.source), each.limit, each.options, file, split)
        jobs.append(Job(source, config.shape, rule, tuple(filters), shuffle, len(jobs)))
    return jobs


@dataclass
class _Written:
    """The counts of the written files."""

    tally: Tally = field(default_factory=Tally)
    rows: dict[splits.Split, int] = field(default_factory=dict)
    outermost: tuple[bytes, ...] = ()
    """The lowest and the highest digest of all problems; one if they are the same."""
    names: dict[tuple[int, str], str] = field(default_factory=dict)
    """Job and name of a row -> the place of its record, for sources whose rows are found by their names."""

    def add(self, part: Part) -> None:
        """Count a part.

        Raises:
            SourceError: Two rows have one name, by which a filter knows them.
        """
        self.tally.add(part)
        for name, line in part.names:
            place = f"{part.path}:{line}"
            first = self.names.setdefault((part.job, name), place)
            if first != place:
                raise SourceError(f"{place}: row {name!r} has the name of the row of {first}; pass rates need different names")
        digests = {*self.outermost, *part.digests}
        self.outermost = tuple(sorted({min(digests), max(digests)})) if digests else ()


def _write(config: PrepareConfig, parts: Iterator[Part], progress: Progress | None) -> _Written:
    """Write all parts; the files are kept only if both splits have rows, the rejects always."""
    folder, written = config.output, _Written()
    folder.mkdir(parents=True, exist_ok=True)
    atomic.sweep(folder)
    total, done = _measure(config), 0
    with ExitStack() as stack:
        files: dict[splits.Split, RowsFile | ShuffledRows] = {}
        for split in splits.SPLITS:
            files[split] = open_rows(folder / f"{split}.parquet", config.shape, split, _make_shuffle(config))
            stack.callback(files[split].discard)
        with atomic.open_text(folder / "rejects.jsonl") as rejects:
            for part in parts:
                written.add(part)
                rejects.writelines(to_line(reject) for reject in part.rejects)
                for split, batch in part.batches.items():
                    files[split].write(batch, part.buckets.get(split, ()))
                done += part.size
                if progress is not None:
                    progress(min(done, total), total, written.tally.records)
        written.rows = {split: file.rows for split, file in files.items()}
        if problem := written.tally.find_problem(config.max_rejects, folder / "rejects.jsonl"):
            raise problem
        if all(written.rows.values()):
            for file in files.values():
                file.keep()
    return written


def _summarise(
    config: PrepareConfig, written: _Written, decontamination: DecontaminationFilter | None, revisions: Mapping[str, str]
) -> dict[str, Any]:
    """Write summary.json, and for sft dataset_info.json."""
    tally, folder = written.tally, config.output
    for split, count in written.rows.items():
        if not count:
            raise tally.explain_no_rows(f"{split} rows", folder / "rejects.jsonl")
    summary: dict[str, Any] = {"shape": config.shape, "records": tally.records, "rows": written.rows, **tally.summarise()}
    if decontamination is not None:
        summary["evaluation_sets"] = decontamination.sets
    if revisions:
        summary["revisions"] = dict(sorted(revisions.items()))
    if config.shape == "sft":
        atomic.write_text(folder / "dataset_info.json", json.dumps(make_dataset_info(), indent=2) + "\n")
    atomic.write_text(folder / "summary.json", json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
    return summary


def _make_shuffle(config: PrepareConfig) -> Shuffle | None:
    return Shuffle.of(config.seed, _measure(config)) if config.shuffle else None


def _measure(config: PrepareConfig) -> int:
    return sum(measure(Path(each.source)) for each in [*config.train_sources, *config.validation_sources])


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    if len(arguments) != 1:
        print("usage: python -m preprocess.jobs.prepare CONFIG.json", file=sys.stderr)
        return 2
    path = Path(arguments[0])
    try:
        config = read_config_file(path)
        settings = sandbox.Settings(**config.sandbox.model_dump())
        sandbox.configure(settings)
        with progress_file(path.with_name("progress.json")) as progress:
            convert = Cluster(config.ray.address, config.ray.python, settings).convert if config.ray else convert_all
            summary = prepare(config, progress, convert)
    except sandbox.SandboxError as error:
        print(f"error: {error}; see `pipeline doctor`", file=sys.stderr)
        return 1
    except PrepareError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_status
    except OSError as error:
        print(f"error: {error.filename or ''}: {error.strerror or error}", file=sys.stderr)
        return 1
    finally:
        sandbox.close_all()
    rows = summary["rows"]
    read = count_of(summary["records"], "record")
    print(f"{read} -> {rows['train']:,} training and {count_of(rows['validation'], 'validation row')}")
    for name, count in summary.get("evaluation_sets", {}).items():
        print(f"compared with {count_of(count, 'row')} of {name}")
    for kind in KINDS:
        for reason, count in summary[kind].items():
            print(f"{kind.replace('_', ' ')}: {count}: {reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
