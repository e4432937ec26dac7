"""The problems of a set, made from its source by the conversion engine."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from pipelines.environments import find_ready
from pipelines.errors import InputError, StepError, file_error
from pipelines.evaluation.records import Problem
from pipelines.evaluation.sets import EvaluationSet, require_source
from preprocess import atomic
from preprocess.engine.convert import stream
from preprocess.engine.job import Reject, Source
from preprocess.engine.tally import to_line
from preprocess.errors import PrepareError, SourceError
from preprocess.rows import RlRow, Row, to_json
from preprocess.sources.hub import Fetcher, read_hub_name
from rewards.sandbox import SandboxError
from rewards.wording import count

TAGS = ("difficulty", "category", "kind", "platform", "subset")
"""Entries of a row's detail that become tags of its problem, in addition to `source`."""


@dataclass
class Made:
    """The outcome of making problems."""

    problems: int = 0
    records: int = 0
    """Records of the source that were read."""
    reasons: Counter[str] = field(default_factory=Counter)
    """Reason -> number of records that gave no problem."""
    first: Reject | None = None
    """The first of them."""

    @property
    def without(self) -> int:
        """Number of records that gave no problem."""
        return self.reasons.total()

    def describe(self) -> str:
        """Return the counts in one line."""
        text = f"{count(self.problems, 'problem')} from {count(self.records, 'record')}"
        if not self.reasons:
            return text
        listed = [f"{reason} ({number:,})" for reason, number in self.reasons.most_common(3)]
        more = f", and {len(self.reasons) - 3} other reasons" if len(self.reasons) > 3 else ""
        return f"{text}; {self.without:,} gave none: {', '.join(listed)}{more}"


def make_problems(given: EvaluationSet, path: Path, limit: int | None = None) -> Made:
    """Write the problems of a set to a file, in the order of its source, and the records that give none next to it.

    Args:
        given: The set.
        path: The file, which appears when it is complete. `path.with_suffix(".rejects.jsonl")` has the other records.
        limit: Make only the first problems.

    Raises:
        InputError: The source is missing, or has no problem that its reward can score.
        StepError: The sandbox or a download failed, or a file cannot be written.
    """
    require_source(given)
    made, rejects = Made(), path.with_suffix(".rejects.jsonl")
    encode = msgspec.json.Encoder().encode
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _local_source(given, path) as source, atomic.open_text(path) as file, atomic.open_text(rejects) as others:
            for problem in _convert(source, made, limit):
                if isinstance(problem, Reject):
                    others.write(to_line(problem))
                else:
                    file.write(encode(problem).decode() + "\n")
            if not made.problems:
                raise InputError(_no_problems(given, made))
    except SourceError as error:
        raise InputError(f"set {given.name}: {error}") from None
    except PrepareError as error:
        raise StepError(f"set {given.name}: {error}") from None
    except SandboxError as error:
        raise StepError(f"set {given.name}: {error}; see `pipeline doctor`") from None
    except OSError as error:
        raise file_error(f"set {given.name}: {error.filename or path} cannot be written: {error.strerror}", error) from None
    if not made.reasons:
        rejects.unlink()
    return made


def _convert(source: Source, made: Made, limit: int | None) -> Iterator[Problem | Reject]:
    """Yield the problems and the rejects of a source, and count them."""
    names: Counter[str] = Counter()
    with closing(stream(source, "rl")) as converted:
        for each in converted:
            made.records += 1
            if isinstance(each, Reject):
                made.reasons[each.reason] += 1
                made.first = made.first or each
                yield each
                continue
            for row in each:
                yield _to_problem(row, made.problems, names)
                made.problems += 1
                if made.problems == limit:
                    return


def _to_problem(row: Row, index: int, names: Counter[str]) -> Problem:
    assert isinstance(row, RlRow)
    names[row.id] += 1
    name = row.id if names[row.id] == 1 else f"{row.id}#{names[row.id]}"
    found = {tag: value for tag in TAGS if isinstance(value := row.detail.get(tag), str)}
    return Problem(
        row=name,
        prompt=tuple({"role": message.role, "content": message.content} for message in row.prompt),
        data_source=row.data_source,
        ground_truth=to_json(row.ground_truth),
        # As in the rows that verl gives to a reward.
        extra_info={
            "index": index,
            "split": "test",
            "id": name,
            "detail": to_json(row.detail),
            "tool_selection": list(row.tools),
        },
        tags={"source": row.data_source, **found},
    )


def _no_problems(given: EvaluationSet, made: Made) -> str:
    if made.first is None:
        return f"set {given.name}: {given.data.source} has no records"
    first = f"{made.first.source}:{made.first.line}: {made.first.reason}"
    return f"set {given.name}: none of {made.records:,} records has references to score responses by; the first: {first}"


@contextmanager
def _local_source(given: EvaluationSet, path: Path) -> Iterator[Source]:
    """Yield the source; a data set of the hub is downloaded for the duration of the block."""
    data, place = given.data, Path(given.data.source)
    name, folder = read_hub_name(place), path.with_name(f".{path.stem}.hub")
    try:
        if name is not None:
            environment = find_ready()
            if environment is None:
                raise InputError(
                    f"set {given.name}: {name} is a data set of the hub; downloading it needs a trainer's environment: "
                    "`pipeline env sync llamafactory`"
                )
            place = Fetcher(environment.python, folder).fetch(name)
        yield Source(data.converter, place, data.limit, data.options, Path(data.file) if data.file else None)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
