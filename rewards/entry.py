"""`compute_score`: the function that the trainer calls for every response."""

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
from rewards.errors import RewardError, one_line
from rewards.scoring import calling
from rewards.scoring.combination import Combination, Entry, Part, read_combination, read_part
from rewards.scoring.failures import Counts, Failures


async def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | None = None,
    *,
    rewards: Sequence[Mapping[str, Any]],
    sandbox: Mapping[str, Any] | None = None,
    max_failed: float = 0.1,
    seconds: float = calling.SECONDS,
    failures: str | None = None,
    workers: int = 1,
    call: calling.Call = calling.call_in_loop,
    **from_verl: Any,
) -> dict[str, float]:
    """Score one response with the rewards of the recipe.

    For verl's reward managers that await the result (naive, dapo, gdpo, rate_limited); `compute_score_blocking` is for those
    that do not (remote). Calls may run concurrently, in any loop and any thread.

    Args:
        data_source: the row's data source.
        solution_str: the response.
        ground_truth: the row's ground truth, a JSON string.
        extra_info: additional information on the row; `id` identifies it in messages.
        rewards: the stage's rewards: mappings with name, options, weight, data_source and file.
        sandbox: the recipe's `sandbox`: url, isolation, workers.
        max_failed: share of a process's newest rows (of at least 32) that may fail.
        seconds: time limit for each reward of a row that is not built-in; a reward that exceeds it has failed.
        failures: the file of failures, JSON lines.
        workers: how many processes of this machine compute rewards; each sandbox gets its share of the cores.
        call: how a reward's function is called.
        from_verl: what verl's managers add if a reward model runs beside the training.

    Returns:
        The same keys for every row: `score` (the training signal), `accuracy` (0 to 1, without bonuses), `format` (1.0 if
        the response is well formed), `failed` (1.0 if the row or a reward is broken; all else is 0 then), and for several
        rewards the `<name>_score` of each.

    Raises:
        RewardError: a reward or an option does not exist, too many rows failed, or a reward raised it because it cannot
            work here at all. A broken row raises nothing: it is counted, logged and recorded.
    """
    scorer = _scorer(rewards, sandbox, max_failed, failures, workers)
    row = _Row(data_source, solution_str, ground_truth, extra_info or {}, from_verl)
    return await scorer.score(row, call, seconds)


def compute_score_blocking(*row: Any, **settings: Any) -> dict[str, float]:
    """Score one response as `compute_score` does, for callers outside an event loop, in any thread."""
    result: dict[str, float] = calling.run_without_loop(compute_score(*row, **settings, call=calling.call_blocking))
    return result


def counts() -> Counts:
    """Return how many rows this process scored with the settings of its last call, and how many failed."""
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
        """The row's identity in messages and records."""
        row = self.extra_info.get("id")
        return {"row": self.extra_info.get("index") if row in (None, "") else row, "data_source": self.data_source}

    def arguments(self, entry: Entry) -> dict[str, Any]:
        """Return the arguments of a reward's function; copies of what it could change."""
        return {
            "data_source": self.data_source,
            "solution_str": self.solution_str,
            "ground_truth": self.ground_truth,
            "extra_info": dict(self.extra_info),
            **copy.deepcopy(dict(entry.options)),
            **{name: value for name, value in self.from_verl.items() if name in entry.reward.verl_arguments},
        }


class _Scorer:
    """A stage's rewards in this process, checked once."""

    def __init__(self, combination: Combination, failures: Failures) -> None:
        self.combination = combination
        self.failures = failures

    async def score(self, row: _Row, call: calling.Call, seconds: float) -> dict[str, float]:
        self.failures.check()
        entries = self.combination.matching_rewards(str(row.data_source))
        if not entries:
            error = LookupError(f"no reward of the recipe scores data source {row.data_source!r}")
            self.failures.failed(None, error, row.name)
            return self.combination.failed()
        parts: list[tuple[Entry, Part]] = []
        for entry in entries:
            try:
                part = read_part(await call(entry.reward, row.arguments(entry), seconds))
            except (KeyboardInterrupt, GeneratorExit):
                raise
            except BaseException as error:
                if isinstance(error, asyncio.CancelledError) and _is_cancelled():
                    raise
                self.failures.failed(entry.reward, error, row.name)
                return self.combination.failed()
            parts.append((entry, part))
        self.failures.passed()
        return self.combination.combine(parts)


def _is_cancelled() -> bool:
    """Return whether our own task is cancelled, rather than one of the reward's."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return False
    return task is not None and task.cancelling() > 0


_lock = threading.Lock()
_last: tuple[tuple[Any, ...], _Scorer] | None = None
_scorers: dict[str, _Scorer] = {}


def _scorer(rewards: Any, box: Any, max_failed: float, failures: str | None, workers: int) -> _Scorer:
    """Return the scorer for these settings. It is created, and mistakes in the settings are found, at the first row."""
    global _last  # noqa: PLW0603 (one scorer per process)
    given = (rewards, box, max_failed, failures, workers)
    last = _last
    # verl passes the same objects with every row.
    if last is not None and all(one is other for one, other in zip(last[0], given, strict=True)):
        return last[1]
    settings = [_plain(each) for each in given]
    key = json.dumps(settings, sort_keys=True, default=str)
    with _lock:
        if key not in _scorers:
            _scorers[key] = _create_scorer(settings[0], settings[1], max_failed, Path(failures) if failures else None, workers)
        _last = given, _scorers[key]
        return _scorers[key]


def _create_scorer(rewards: Any, box: Any, max_failed: float, path: Path | None, workers: int) -> _Scorer:
    """Return a scorer; one that aborts the run at its first row if the settings are wrong or need what this machine lacks."""
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
    """Convert verl's configuration objects to plain mappings and lists."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(each) for each in value]
    return value
