"""Scoring without a trainer: rows and responses from files, all at once, with the reasons."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rewards.errors import RewardError
from rewards.reasons import listen
from rewards.registry import Reward
from rewards.sandbox import SandboxError
from rewards.scoring import calling
from rewards.scoring.combination import read_part
from rewards.scoring.failures import one_line
from rewards.suggestions import suggestion

SECONDS = 240.0
"""Time for one response, as in training."""
_COLUMNS = ("data_source", "reward_model", "extra_info")


class OfflineError(ValueError):
    """A file that is not one of rows or of responses; one line."""


@dataclass(frozen=True)
class Row:
    """What a reward is told of a row."""

    index: int
    """Its place in the file, from 0."""
    id: str
    """`extra_info.id`, or its place."""
    data_source: str
    ground_truth: Any
    extra_info: Mapping[str, Any]


@dataclass(frozen=True)
class Scored:
    """What a response is worth."""

    score: float
    accuracy: float | None = None
    """None where the reward does not say."""
    format: float | None = None
    failed: str | None = None
    """Why there is no score; the score is 0 then."""
    reasons: tuple[str, ...] = ()


def read_rows(path: Path) -> list[Row]:
    """The rows of a parquet file as the trainer has them.

    Raises:
        OfflineError: there is no such file, it is no parquet, or has not the columns.
    """
    import pyarrow.parquet

    if not path.is_file():
        raise OfflineError(f"there is no file {path}")
    try:
        file = pyarrow.parquet.ParquetFile(path)
        missing = [name for name in _COLUMNS[:2] if name not in file.schema_arrow.names]
        if missing:
            there = ", ".join(file.schema_arrow.names)
            raise OfflineError(f"{path} has no column {missing[0]}, which rows for RL have; it has {there}")
        wanted = [name for name in _COLUMNS if name in file.schema_arrow.names]
        records = file.read(columns=wanted).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise OfflineError(f"{path} is no parquet file that can be read: {one_line(error)}") from error
    return [_read_row(path, place, record) for place, record in enumerate(records)]


def _read_row(path: Path, place: int, record: Mapping[str, Any]) -> Row:
    model, info = record["reward_model"], record.get("extra_info") or {}
    if not isinstance(model, Mapping) or "ground_truth" not in model:
        raise OfflineError(f"{path}, row {place}: reward_model has no ground_truth")
    name = info.get("id") if isinstance(info, Mapping) else None
    return Row(place, str(place if name in (None, "") else name), str(record["data_source"]), model["ground_truth"], info)


def read_responses(path: Path, rows: Sequence[Row]) -> list[tuple[Row, str]]:
    """The responses of a file of JSON lines, each with its row.

    A line is an object with `response` (a text or a list of them) and `id` or `index`, or one of verl's own dumps of
    rollouts, with `output` and `gts`: its row is the first with that ground truth.

    Raises:
        OfflineError: there is no such file, or a line is none of these or names no row.
    """
    if not path.is_file():
        raise OfflineError(f"there is no file {path}")
    by_id = {row.id: row for row in reversed(rows)}
    by_truth = {_key(row.ground_truth): row for row in reversed(rows)}
    found: list[tuple[Row, str]] = []
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    found += _read_line(f"{path}:{number}", line, rows, by_id, by_truth)
    except (OSError, UnicodeDecodeError) as error:
        raise OfflineError(f"{path} cannot be read: {one_line(error)}") from error
    if not found:
        raise OfflineError(f"{path} has no response")
    return found


def _read_line(
    where: str, line: str, rows: Sequence[Row], by_id: Mapping[str, Row], by_truth: Mapping[str, Row]
) -> list[tuple[Row, str]]:
    try:
        given = json.loads(line)
    except ValueError as error:
        raise OfflineError(f"{where}: not JSON: {error}") from error
    if not isinstance(given, dict):
        raise OfflineError(f"{where}: a {type(given).__name__}, expected an object with id (or index) and response")
    texts = given.get("response", given.get("output"))
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise OfflineError(f"{where}: no response; expected `response`: a text or a list of texts")
    if "id" in given:
        name = str(given["id"])
        if name not in by_id:
            raise OfflineError(f"{where}: no row has the id {name!r}{suggestion(name, by_id)}")
        row = by_id[name]
    elif "index" in given:
        place = given["index"]
        if not isinstance(place, int) or isinstance(place, bool) or not 0 <= place < len(rows):
            raise OfflineError(f"{where}: index is {place!r}, expected 0 to {len(rows) - 1}")
        row = rows[place]
    elif "gts" in given:
        if (key := _key(given["gts"])) not in by_truth:
            raise OfflineError(f"{where}: no row has this ground truth: {key[:60]}")
        row = by_truth[key]
    else:
        raise OfflineError(f"{where}: neither id nor index says which row this is a response to")
    return [(row, text) for text in texts]


def _key(ground_truth: Any) -> str:
    return ground_truth if isinstance(ground_truth, str) else json.dumps(ground_truth, sort_keys=True, default=str)


def score_blocking(
    reward: Reward,
    options: Mapping[str, Any],
    items: Iterable[tuple[Row, str]],
    progress: Callable[[], object] = lambda: None,
) -> list[Scored]:
    """`score` for code outside an event loop."""
    return asyncio.run(score(reward, options, items, progress))


async def score(
    reward: Reward,
    options: Mapping[str, Any],
    items: Iterable[tuple[Row, str]],
    progress: Callable[[], object] = lambda: None,
) -> list[Scored]:
    """What each response is worth, in their order; as many at once as keep the cores busy.

    Args:
        reward: one whose options have been checked.
        options: its options.
        items: rows and responses.
        progress: called after each response.

    Raises:
        RewardError: the reward cannot work here: a package is missing, say.
        SandboxError: the sandbox failed.
    """
    todo = list(enumerate(items))
    results: list[Scored | None] = [None] * len(todo)
    waiting = iter(todo)

    async def work() -> None:
        for place, (row, response) in waiting:
            results[place] = await _score_one(reward, options, row, response)
            progress()

    cores = len(os.sched_getaffinity(0))
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(min(2 * cores + 2, len(todo))):
                group.create_task(work())
    except* (RewardError, SandboxError) as errors:
        raise errors.exceptions[0] from None
    return [result for result in results if result is not None]


async def _score_one(reward: Reward, options: Mapping[str, Any], row: Row, response: str) -> Scored:
    arguments = {
        "data_source": row.data_source,
        "solution_str": response,
        "ground_truth": row.ground_truth,
        "extra_info": dict(row.extra_info),
        **options,
    }
    with listen() as reasons:
        try:
            part = read_part(await calling.call_in_loop(reward, arguments, SECONDS))
        except (RewardError, SandboxError):
            raise
        except (Exception, SystemExit) as error:
            return Scored(0.0, 0.0, 0.0, one_line(error), tuple(reasons))
    return Scored(part.score, part.accuracy, part.format, None, tuple(reasons))
