"""Score responses from files without a trainer, all concurrently, with the reasons."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rewards.errors import RewardError, one_line
from rewards.reasons import collect_reasons
from rewards.registry import Reward
from rewards.sandbox import SandboxError, single_worker
from rewards.scoring.calling import SECONDS, call_in_loop
from rewards.scoring.combination import Part, read_part
from rewards.suggestions import suggestion
from rewards.wording import kind_of

_COLUMNS = ("data_source", "reward_model", "extra_info", "prompt")
_MOST_SANDBOXES = 8


class OfflineError(ValueError):
    """A file does not contain rows or responses; one line."""


@dataclass(frozen=True)
class Row:
    """A row as a reward gets it."""

    index: int
    """Its position in the file, from 0."""
    id: str
    """`extra_info.id`, or its index."""
    data_source: str
    ground_truth: Any
    extra_info: Mapping[str, Any]
    prompt: str = ""


@dataclass(frozen=True)
class Scored(Part):
    """A response's score."""

    failed: str | None = None
    """Why it could not be scored; the score is 0 then."""
    reasons: tuple[str, ...] = ()


def read_rows(path: Path) -> list[Row]:
    """Read the rows of a parquet file as the trainer does.

    Raises:
        OfflineError: the file is missing, is not parquet, or lacks a column.
    """
    import pyarrow.parquet

    if not path.is_file():
        raise OfflineError(f"file {path} not found")
    try:
        file = pyarrow.parquet.ParquetFile(path)
        names = file.schema_arrow.names
        if missing := [name for name in _COLUMNS[:2] if name not in names]:
            raise OfflineError(f"{path} has no column {missing[0]}, which rows for RL have; found {', '.join(names)}")
        records = file.read(columns=[name for name in _COLUMNS if name in names]).to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        raise OfflineError(f"{path} is not a readable parquet file: {one_line(error)}") from error
    return [_read_row(path, index, record) for index, record in enumerate(records)]


def _read_row(path: Path, index: int, record: Mapping[str, Any]) -> Row:
    model, info = record["reward_model"], record.get("extra_info") or {}
    if not isinstance(model, Mapping) or "ground_truth" not in model:
        raise OfflineError(f"{path}, row {index}: reward_model has no ground_truth")
    name = info.get("id") if isinstance(info, Mapping) else None
    prompt = record.get("prompt") or ()
    text = prompt if isinstance(prompt, str) else "\n".join(str(each["content"]) for each in prompt if "content" in each)
    name = str(index if name in (None, "") else name)
    return Row(index, name, str(record["data_source"]), model["ground_truth"], info, text)


def read_responses(path: Path, rows: Sequence[Row]) -> list[tuple[Row, str]]:
    """Read the responses of a file of JSON lines, each with its row.

    A line is an object with `response` (a text or a list of them) and `id` or `index`, or a line of verl's rollout dumps,
    with `output` and `gts`: its row is the first with that ground truth.

    Raises:
        OfflineError: the file is missing, or a line is none of these or does not identify a row.
    """
    if not path.is_file():
        raise OfflineError(f"file {path} not found")
    by_id: dict[str, list[Row]] = {}
    for row in rows:
        by_id.setdefault(row.id, []).append(row)
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
    where: str, line: str, rows: Sequence[Row], by_id: Mapping[str, Sequence[Row]], by_truth: Mapping[str, Row]
) -> list[tuple[Row, str]]:
    try:
        given = json.loads(line)
    except ValueError as error:
        raise OfflineError(f"{where}: not JSON: {error}") from error
    if not isinstance(given, dict):
        raise OfflineError(f"{where}: found {kind_of(given)}, expected an object with id (or index) and response")
    texts = given.get("response", given.get("output"))
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise OfflineError(f"{where}: no response; expected `response`: a text or a list of texts")
    if "id" in given:
        named = by_id.get(str(given["id"]), ())
        if len(named) > 1:
            raise OfflineError(f"{where}: {len(named)} rows have the id {str(given['id'])!r}; use `index` to name one")
        row = named[0] if named else None
        problem = f"no row has the id {str(given['id'])!r}{'' if row else suggestion(given['id'], by_id)}"
    elif "index" in given:
        index = given["index"]
        valid = isinstance(index, int) and not isinstance(index, bool) and 0 <= index < len(rows)
        row = rows[index] if valid else None
        problem = f"index is {index!r}, expected 0 to {len(rows) - 1}"
    elif "gts" in given:
        row = by_truth.get(_key(given["gts"]))
        problem = f"no row has this ground truth: {_key(given['gts'])[:60]}"
    else:
        row, problem = None, "no id or index to identify the row of this response"
    if row is None:
        raise OfflineError(f"{where}: {problem}")
    return [(row, text) for text in texts]


def _key(ground_truth: Any) -> str:
    return ground_truth if isinstance(ground_truth, str) else json.dumps(ground_truth, sort_keys=True, default=str)


def score(
    reward: Reward,
    options: Mapping[str, Any],
    items: Iterable[tuple[Row, str]],
    progress: Callable[[], object] = lambda: None,
) -> list[Scored]:
    """Score responses, as many concurrently as keep the cores busy; return the scores in the same order.

    Args:
        reward: the reward.
        options: its options, as `read_options` returns them.
        items: rows and responses.
        progress: called after each response.

    Raises:
        RewardError: the reward cannot work here, for example because a package is missing.
        SandboxError: the sandbox failed.
    """
    todo = list(items)
    results = [Scored(0.0)] * len(todo)
    waiting = iter(range(len(todo)))

    async def work(_: int) -> None:
        for index in waiting:
            results[index] = await score_one(reward, options, *todo[index])
            progress()

    _run(work, min(2 * len(os.sched_getaffinity(0)) + 2, len(todo)))
    return results


def score_in_turn(
    reward: Reward,
    options: Mapping[str, Any],
    groups: Sequence[Sequence[tuple[Row, str]]],
    progress: Callable[[], object] = lambda: None,
) -> list[list[Scored]]:
    """Score the responses of each group one after another in the same sandbox worker, and the groups concurrently.

    The arguments and errors are those of `score`.
    """
    results: list[list[Scored]] = [[] for _ in groups]
    waiting = iter(range(len(groups)))

    async def work(number: int) -> None:
        with single_worker(number):
            for index in waiting:
                for row, response in groups[index]:
                    results[index].append(await score_one(reward, options, row, response))
                    progress()

    _run(work, min(len(os.sched_getaffinity(0)), _MOST_SANDBOXES, len(groups)))
    return results


def _run(work: Callable[[int], Coroutine[Any, Any, None]], count: int) -> None:
    """Run `work(1)` to `work(count)` concurrently."""

    async def run() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(1, count + 1):
                group.create_task(work(number))

    try:
        asyncio.run(run())
    except* (RewardError, SandboxError) as errors:
        raise errors.exceptions[0] from None


async def score_one(reward: Reward, options: Mapping[str, Any], row: Row, response: str) -> Scored:
    """Score one response, with the reasons; one that cannot be scored has 0 and the error.

    Raises:
        RewardError: The reward cannot work here, for example because a package is missing.
        SandboxError: The sandbox failed.
    """
    arguments = {
        "data_source": row.data_source,
        "solution_str": response,
        "ground_truth": row.ground_truth,
        "extra_info": dict(row.extra_info),
        **options,
    }
    with collect_reasons() as reasons:
        try:
            part = read_part(await call_in_loop(reward, arguments, SECONDS))
        except (RewardError, SandboxError):
            raise
        except (Exception, SystemExit) as error:
            return Scored(0.0, 0.0, 0.0, one_line(error), tuple(reasons))
    return Scored(part.score, part.accuracy, part.format, None, tuple(reasons))
