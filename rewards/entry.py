"""`compute_score`: the one function the trainer calls for every response."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Mapping
from typing import Any

from rewards import registry

_log = logging.getLogger(__name__)
_lock = threading.Lock()
_counts = {"rows": 0, "failed": 0}


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | None = None,
    *,
    reward: str,
    options: Mapping[str, Any] | None = None,
    **_: Any,
) -> dict[str, float]:
    """What one response is worth, by the reward and options that the recipe names.

    Safe to call from many threads at once: it uses no signals.

    Args:
        data_source: the row's data source.
        solution_str: the response.
        ground_truth: the row's ground truth, a JSON string.
        extra_info: the row's further facts; `id` names it in messages.
        reward: the reward's name.
        options: the reward's options.

    Returns:
        The same keys for every row: `score` (what is trained on), `accuracy` (0 to 1, without bonuses), `format` (1.0
        where the response has the right form) and `failed` (1.0 where the row or the reward is broken; its score is 0).

    Raises:
        RewardError: the reward or an option does not exist. Nothing else: a broken row is counted and logged.
    """
    chosen = registry.find(reward)
    given = {str(name): value for name, value in (options or {}).items()}
    chosen.check_options(given)
    try:
        result = chosen.function(data_source, solution_str, ground_truth, extra_info or {}, **given)
        values = {"score": float(result)} if not isinstance(result, dict) else {k: float(v) for k, v in result.items()}
        unfit = [f"{name} is {value}" for name, value in values.items() if not math.isfinite(value)]
        if unfit or "score" not in values:
            raise ValueError(unfit[0] if unfit else "no `score` in its result")
    except Exception as error:
        _count(failed=True)
        row = (extra_info or {}).get("id") or (extra_info or {}).get("index")
        _log.error("reward %s failed on row %s of %s: %s: %s", reward, row, data_source, type(error).__name__, error)
        return {"score": 0.0, "accuracy": 0.0, "format": 0.0, "failed": 1.0}
    _count(failed=False)
    return {
        "score": values["score"],
        "accuracy": values.get("accuracy", values["score"]),
        "format": values.get("format", 0.0),
        "failed": 0.0,
    }


def counts() -> dict[str, int]:
    """Rows scored by this process, and how many of them failed."""
    with _lock:
        return dict(_counts)


def _count(failed: bool) -> None:
    with _lock:
        _counts["rows"] += 1
        _counts["failed"] += failed
