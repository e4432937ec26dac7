"""`compute_score`: the function that the trainer calls for every response."""

from __future__ import annotations

import asyncio
import copy
import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rewards import sandbox
from rewards.errors import RewardError, one_line
from rewards.reasons import explain
from rewards.scoring import calling
from rewards.scoring.combination import Combination, Entry, Part, read_combination, read_part
from rewards.scoring.failures import Failures


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
        The same keys for every row: `score` (the training signal), `accuracy` (0 to 1, without bonuses), `has_accuracy` (1.0
        if every reward returned one), `format` (1.0 if the response is well formed), `failed` (1.0 if the row or a reward is
        broken; its score and accuracy are 0 then), and for several rewards the `<name>_score` of each.

    Raises:
        RewardError: a reward or an option does not exist, too many rows failed, or a reward raised it because it cannot
            work here at all. A broken row raises nothing: it is counted, logged and recorded.
    """
    combination, recorder = _prepare(rewards, sandbox, max_failed, failures, workers)
    recorder.check()
    info = dict(extra_info or {})
    row = {"row": info.get("index") if info.get("id") in (None, "") else info["id"], "data_source": data_source}
    entries = combination.matching_rewards(str(data_source))
    if not entries:
        unclaimed = LookupError(f"no reward of the recipe scores data source {data_source!r}")
        explain("not scored: {}", str(unclaimed))
        recorder.failed(None, unclaimed, row)
        return combination.failed()
    parts: list[tuple[Entry, Part]] = []
    for entry in entries:
        # Copies of what a function could change.
        arguments = {
            "data_source": data_source,
            "solution_str": solution_str,
            "ground_truth": ground_truth,
            "extra_info": dict(info),
            **copy.deepcopy(dict(entry.options)),
            **{name: value for name, value in from_verl.items() if name in entry.reward.verl_arguments},
        }
        try:
            parts.append((entry, read_part(await call(entry.reward, arguments, seconds))))
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) and _is_cancelled():
                raise
            cause = error.__cause__ if isinstance(error, calling.RaisedGeneratorExitError) else None
            explain("{} failed: {}", entry.reward.name, one_line(cause or error))
            recorder.failed(entry.reward, cause or error, row)
            return combination.failed()
    recorder.passed()
    return combination.combine(parts)


def compute_score_blocking(*row: Any, **settings: Any) -> dict[str, float]:
    """Score one response as `compute_score` does, for callers outside an event loop, in any thread."""
    result: dict[str, float] = calling.run_without_loop(compute_score(*row, **settings, call=calling.call_blocking))
    return result


def _is_cancelled() -> bool:
    """Return whether our own task is cancelled, rather than one of the reward's."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return False
    return task is not None and task.cancelling() > 0


_Prepared = tuple[Combination, Failures]
_lock = threading.Lock()
_last: tuple[tuple[Any, ...], _Prepared] | None = None
_prepared: dict[str, _Prepared] = {}


def _prepare(rewards: Any, box: Any, max_failed: float, failures: str | None, workers: int) -> _Prepared:
    """Return the stage's rewards and the failures of this process. The settings are read, and checked, at the first row."""
    global _last  # noqa: PLW0603 (one choice per process)
    given = (rewards, box, max_failed, failures, workers)
    last = _last
    # verl passes the same objects with every row.
    if last is not None and all(one is other for one, other in zip(last[0], given, strict=True)):
        return last[1]
    settings = [_plain(each) for each in given]
    key = json.dumps(settings, sort_keys=True, default=str)
    with _lock:
        if key not in _prepared:
            recorder = Failures(Path(failures) if failures else None, float(max_failed))
            _prepared[key] = _read_settings(settings[0], settings[1] or {}, workers, recorder), recorder
        _last = given, _prepared[key]
        return _prepared[key]


def _read_settings(rewards: Any, box: Any, workers: int, recorder: Failures) -> Combination:
    """Configure the sandbox and read the rewards; abort the run if the settings are wrong or need what this machine lacks."""
    try:
        sandbox.configure(sandbox.read_settings(box, workers))
        return read_combination(rewards)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        recorder.stop(str(error) if isinstance(error, RewardError) else one_line(error))
    return Combination(())


def _plain(value: Any) -> Any:
    """Convert verl's configuration objects to plain mappings and lists."""
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [_plain(each) for each in value]
    return value
