"""`python -m preprocess.jobs.prepare CONFIG.json`: a stage's sources into the files its trainer reads.

Writes train.parquet, validation.parquet, rejects.jsonl and summary.json, and for sft LLaMA-Factory's dataset_info.json.
The exit status is 2 for a mistake in what was given and 1 for a failure on the way.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import msgspec

from preprocess import atomic
from preprocess.engine.convert import Part
from preprocess.engine.job import KINDS, Filter, Job
from preprocess.engine.parallel import Convert, convert_all
from preprocess.engine.progress import Progress, progress_file
from preprocess.engine.shuffling import Shuffle, ShuffledRows
from preprocess.engine.splits import SPLITS, Share, Split, SplitRule, Whole
from preprocess.engine.tally import Tally, to_line
from preprocess.engine.writing import RowsFile
from preprocess.errors import PrepareError, SourceError
from preprocess.filters.decontamination import Decontamination
from preprocess.jobs.dataset_info import make_dataset_info
from preprocess.jobs.prepare_config import Config, FetchedT, Fraction, SourceConfig, read_config_file
from preprocess.ray.cluster import Cluster
from preprocess.sources.hub import Fetcher, read_hub_name
from preprocess.sources.reading import measure
from rewards import sandbox


def prepare(config: Config, progress: Progress | None = None, convert: Convert = convert_all) -> dict[str, Any]:
    """Makes the files; returns the summary that summary.json holds.

    Args:
        convert: what converts, on this machine or on others.

    Raises:
        SourceError: a mistake in the configuration or a source.
        PrepareError: too many rejects, or no rows; a source on the hub cannot be fetched.
        SandboxError: programs cannot be run.
        OSError: the files cannot be written.
    """
    config = _fetch(config)
    decontamination = config.decontaminate.read() if config.decontaminate else None
    outcome = _Outcome(config, progress)
    if isinstance(config.validation, Fraction):
        rule = Share.of(config.validation.fraction, config.seed)
        outcome.write(convert(_make_jobs(config, config.train, rule, decontamination)))
        if len(outcome.outermost) == 1:
            raise SourceError("1 problem cannot be split into training and validation; give validation sources of their own")
        if outcome.outermost and not all(outcome.rows.values()):
            # There are few problems, and the draw has put all on one side.
            rule = rule.move(*outcome.outermost)
            outcome = _Outcome(config, progress)
            outcome.write(convert(_make_jobs(config, config.train, rule, decontamination)))
    else:
        outcome.write(_convert_apart(config, convert, decontamination))
    return outcome.summarise(decontamination.sets if decontamination else None)


def _fetch(config: Config) -> Config:
    """The configuration with folders for the sources that are names on the hub."""
    if config.hub is None:
        return config
    fetcher = Fetcher(config.hub.python, config.hub.folder)
    own = config.validation == "own"
    changes: dict[str, Any] = {"train": [_fetch_one(each, fetcher, own) for each in config.train]}
    if isinstance(config.validation, list):
        changes["validation"] = [_fetch_one(each, fetcher) for each in config.validation]
    if config.decontaminate is not None:
        against = [_fetch_one(each, fetcher) for each in config.decontaminate.against]
        changes["decontaminate"] = msgspec.structs.replace(config.decontaminate, against=against)
    return msgspec.structs.replace(config, **changes)


def _fetch_one(source: FetchedT, fetcher: Fetcher, every_split: bool = False) -> FetchedT:
    name = read_hub_name(source.source)
    return source if name is None else msgspec.structs.replace(source, source=fetcher.fetch(name, every_split))


def _convert_apart(config: Config, convert: Convert, decontamination: Decontamination | None) -> Iterator[Part]:
    """The validation rows first, so that their problems can be kept out of training."""
    if config.validation == "own":
        held_out = _make_jobs(config, config.train, Whole("validation"), split="validation")
    else:
        assert isinstance(config.validation, list)
        held_out = _make_jobs(config, config.validation, Whole("validation"))
    problems: set[bytes] = set()
    for part in convert(held_out):
        problems.update(part.digests)
        yield part
    rule = Whole("train", frozenset(problems))
    split: Split | None = "train" if config.validation == "own" else None
    yield from convert(_make_jobs(config, config.train, rule, decontamination, split))


def _make_jobs(
    config: Config,
    sources: Sequence[SourceConfig],
    rule: SplitRule,
    decontamination: Decontamination | None = None,
    split: Split | None = None,
) -> list[Job]:
    jobs, shuffle = [], _find_shuffle(config)
    for each in sources:
        filters: list[Filter] = []
        if each.pass_rates is not None and split != "validation":
            filters.append(each.pass_rates.read())
        if decontamination is not None:
            filters.append(decontamination)
        jobs.append(Job(each.to_source(split), config.shape, rule, tuple(filters), shuffle))
    return jobs


class _Outcome:
    """What is written, and what came of it."""

    def __init__(self, config: Config, progress: Progress | None) -> None:
        self.config, self.progress = config, progress
        self.rows: dict[Split, int] = {}
        self.outermost: tuple[bytes, ...] = ()
        """The lowest and the highest digest of all problems, where they differ."""
        self.tally = Tally()

    def write(self, parts: Iterator[Part]) -> None:
        """Writes all parts; the files are kept only if both sides have rows. The rejects are kept in any case."""
        output = self.config.output
        output.mkdir(parents=True, exist_ok=True)
        atomic.sweep(output)
        total = _measure(self.config)
        with ExitStack() as stack:
            files = {split: self._open(split) for split in SPLITS}
            for file in files.values():
                stack.callback(file.discard)
            with atomic.open_text(output / "rejects.jsonl") as rejects:
                done = 0
                for part in parts:
                    self._take(part, files, rejects)
                    done += part.size
                    if self.progress is not None:
                        self.progress(min(done, total), total, self.tally.records)
            self.rows = {split: file.rows for split, file in files.items()}
            if problem := self.tally.find_problem(self.config.max_rejects, output / "rejects.jsonl"):
                raise problem
            if all(self.rows.values()):
                for file in files.values():
                    file.keep()

    def summarise(self, evaluation_sets: Mapping[str, int] | None) -> dict[str, Any]:
        """Writes summary.json, and for sft dataset_info.json.

        Raises:
            PrepareError: a side has no rows.
        """
        config, tally = self.config, self.tally
        for split, count in self.rows.items():
            if not count:
                raise PrepareError(f"no {split} rows came of {tally.records:,} records; see {config.output / 'rejects.jsonl'}")
        summary: dict[str, Any] = {"shape": config.shape, "records": tally.records, "rows": self.rows, **tally.summarise()}
        if evaluation_sets is not None:
            summary["evaluation_sets"] = evaluation_sets
        if config.shape == "sft":
            atomic.write_text(config.output / "dataset_info.json", json.dumps(make_dataset_info(), indent=2) + "\n")
        atomic.write_text(config.output / "summary.json", json.dumps(summary, indent=2, ensure_ascii=False) + "\n")
        return summary

    def _take(self, part: Part, files: Mapping[Split, RowsFile | ShuffledRows], rejects: IO[str]) -> None:
        self.tally.add(part)
        rejects.writelines(to_line(reject) for reject in part.rejects)
        for split, batch in part.batches.items():
            files[split].write(batch, part.buckets.get(split, ()))
        digests = {*self.outermost, *part.digests}
        self.outermost = tuple(sorted({min(digests), max(digests)})) if digests else ()

    def _open(self, split: Split) -> RowsFile | ShuffledRows:
        file = RowsFile(self.config.output / f"{split}.parquet", self.config.shape, split)
        return ShuffledRows(file, shuffle) if (shuffle := _find_shuffle(self.config)) else file


def _find_shuffle(config: Config) -> Shuffle | None:
    return Shuffle.of(config.seed, _measure(config)) if config.shuffle else None


def _measure(config: Config) -> int:
    held_out = config.validation if isinstance(config.validation, list) else []
    return sum(measure(each.source) for each in [*config.train, *held_out])


def main(arguments: Sequence[str]) -> int:
    """The command; returns its exit status."""
    if len(arguments) != 1:
        print("usage: python -m preprocess.jobs.prepare CONFIG.json", file=sys.stderr)
        return 2
    return run(Path(arguments[0]))


def run(path: Path) -> int:
    """Prepares what a configuration file says, and prints what came of it or why not; returns the exit status."""
    try:
        config = read_config_file(path)
        settings = sandbox.Settings(**msgspec.structs.asdict(config.sandbox))
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
    print(f"{summary['records']} records -> {rows['train']} training and {rows['validation']} validation rows")
    for name, count in summary.get("evaluation_sets", {}).items():
        print(f"compared with {count} rows of {name}")
    for kind in KINDS:
        for reason, count in summary[kind].items():
            print(f"{kind.replace('_', ' ')}: {count}: {reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
