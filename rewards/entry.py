"""`compute_score`: the one function the trainer calls for every response."""

from __future__ import annotations

import asyncio
import copy
import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rewards import sandbox
from rewards.errors import RewardError
from rewards.scoring import calling
from rewards.scoring.combination import Combination, Entry, Part, read_combination, read_part
from rewards.scoring.failures import Counts, Failures, one_line

SECONDS = 240.0
"""Time for one row's reward by a plugin. Under the 300 s after which verl's rate_limited manager gives up without our keys."""

MAX_FAILED = 0.1


async def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | None = None,
    *,
    rewards: Sequence[Mapping[str, Any]],
    sandbox: Mapping[str, Any] | None = None,
    max_failed: float = MAX_FAILED,
    seconds: float = SECONDS,
    failures: str | None = None,
    workers: int = 1,
    **from_verl: Any,
) -> dict[str, float]:
    """What one response is worth, by the rewards that the recipe names.

    For the reward managers that await (naive, dapo, gdpo, rate_limited); `compute_score_blocking` is the same for those
    that call (remote). Many calls may run at once, in any loop and any thread.

    Args:
        data_source: the row's data source.
        solution_str: the response.
        ground_truth: the row's ground truth, a JSON string.
        extra_info: the row's further facts; `id` names it in messages.
        rewards: the stage's rewards: mappings with name, options, weight, data_source and file.
        sandbox: the recipe's `sandbox`: url, isolation, workers.
        max_failed: share of a process's newest rows (of at least 32) that may fail.
        seconds: time for each reward of a row that is not built-in; then it has failed.
        failures: the file of failures, JSON lines.
        workers: how many processes of this machine compute rewards; each sandbox has its share of the cores.
        from_verl: what verl's managers add where a reward model runs beside the training.

    Returns:
        The same keys for every row: `score` (what is trained on), `accuracy` (0 to 1, without bonuses), `format` (1.0
        where the response has the right form), `failed` (1.0 where the row or a reward is broken; all else is 0 then),
        and of several rewards `<name>_score` of each.

    Raises:
        RewardError: a reward or an option does not exist, too many rows failed, or a reward raised it to say that it
            cannot work here at all. Nothing else: a broken row is counted, logged and written down.
    """
    scorer = _scorer(rewards, sandbox, max_failed, failures, workers)
    row = _Row(data_source, solution_str, ground_truth, extra_info or {}, from_verl)
    return await scorer.score(row, calling.call_in_loop, seconds)


def compute_score_blocking(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | None = None,
    *,
    rewards: Sequence[Mapping[str, Any]],
    sandbox: Mapping[str, Any] | None = None,
    max_failed: float = MAX_FAILED,
    seconds: float = SECONDS,
    failures: str | None = None,
    workers: int = 1,
    **from_verl: Any,
) -> dict[str, float]:
    """`compute_score` for callers outside an event loop, in any thread."""
    scorer = _scorer(rewards, sandbox, max_failed, failures, workers)
    row = _Row(data_source, solution_str, ground_truth, extra_info or {}, from_verl)
    result: dict[str, float] = calling.finish(scorer.score(row, calling.call_blocking, seconds))
    return result


def counts() -> Counts:
    """Rows that this process scored with the settings of its last call, and how many of them failed."""
    return _last[1].failures.counts if _last else Counts()


@dataclass(frozen=True)
class _Row:
    data_source: str
    solution_str: str
    ground_truth: Any
    extra_info: Mapping[str, Any]
    from_verl: Mapping[str, Any]

    @property
    def name(self) -> dict[str, Any]:
        """What names the row for a person."""
        row = self.extra_info.get("id")
        return {"row": self.extra_info.get("index") if row in (None, "") else row, "data_source": self.data_source}

    def arguments(self, entry: Entry) -> dict[str, Any]:
        """What an entry's function is called with; its own copies of what it could change."""
        return {
            "data_source": self.data_source,
            "solution_str": self.solution_str,
            "ground_truth": self.ground_truth,
            "extra_info": dict(self.extra_info),
            **copy.deepcopy(dict(entry.options)),
            **{name: value for name, value in self.from_verl.items() if name in entry.reward.takes_from_verl},
        }


class _Scorer:
    """A stage's rewards in this process, checked once."""

    def __init__(self, combination: Combination, failures: Failures) -> None:
        self.combination = combination
        self.failures = failures

    async def score(self, row: _Row, call: calling.Call, seconds: float) -> dict[str, float]:
        self.failures.check()
        entries = self.combination.takers(str(row.data_source))
        if not entries:
            self.failures.failed(None, LookupError(f"no reward of the recipe takes data source {row.data_source!r}"), row.name)
            return self.combination.failed()
        parts: list[tuple[Entry, Part]] = []
        for entry in entries:
            part = await _call(entry, row, call, seconds)
            if isinstance(part, BaseException):
                self.failures.failed(entry.reward, part, row.name)
                return self.combination.failed()
            parts.append((entry, part))
        self.failures.passed()
        return self.combination.combine(parts)


async def _call(entry: Entry, row: _Row, call: calling.Call, seconds: float) -> Part | BaseException:
    """What an entry makes of a row, or what was raised."""
    try:
        return read_part(await call(entry.reward, row.arguments(entry), seconds))
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        if isinstance(error, asyncio.CancelledError) and _is_cancelled():
            raise
        return error


def _is_cancelled() -> bool:
    """Whether somebody cancels us, rather than a reward something of its own."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return False
    return task is not None and task.cancelling() > 0


_lock = threading.Lock()
_last: tuple[tuple[Any, ...], _Scorer] | None = None
_scorers: dict[str, _Scorer] = {}


def _scorer(rewards: Any, box: Any, max_failed: float, failures: str | None, workers: int) -> _Scorer:
    """The scorer of these settings: made at the first row, which is when mistakes in them are found."""
    global _last  # noqa: PLW0603 (one choice for the whole process)
    given = (rewards, box, max_failed, failures, workers)
    last = _last
    # verl gives the very same objects with every row.
    if last is not None and all(one is other for one, other in zip(last[0], given, strict=True)):
        return last[1]
    settings = [_plain(each) for each in given]
    key = json.dumps(settings, sort_keys=True, default=str)
    with _lock:
        if key not in _scorers:
            _scorers[key] = _make_scorer(settings[0], settings[1], max_failed, Path(failures) if failures else None, workers)
        _last = given, _scorers[key]
        return _scorers[key]


def _make_scorer(rewards: Any, box: Any, max_failed: float, path: Path | None, workers: int) -> _Scorer:
    """One that ends the run at its first row, if the settings are wrong or this machine lacks what they name."""
    recorder = Failures(path, float(max_failed))
    combination = Combination(())
    try:
        sandbox.configure(sandbox.read_settings(box or {}, workers))
        combination = read_combination(rewards)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        recorder.stop(str(error) if isinstance(error, RewardError) else one_line(error))
    return _Scorer(combination, recorder)


def _plain(value: Any) -> Any:
    """Plain mappings and lists in place of verl's configuration objects."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(each) for each in value]
    return value
