"""`reached.json`: how far a step is, written while it runs."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from pipelines.digests import write_atomically

FILE = "reached.json"


class Reached(msgspec.Struct, frozen=True, kw_only=True):
    """How far a step is."""

    step: float
    """Units done: training steps, or bytes of a preparation."""
    total: float | None = None
    shown: str = ""
    """Text to show instead of `step 3/30`."""
    metrics: Mapping[str, float] = {}
    """The most important first: the loss for SFT, the reward for RL."""
    seconds_left: float | None = None
    """At the time `at`."""
    at: float
    """When it was written, in seconds since the epoch."""


def write_reached(folder: Path, reached: Reached) -> None:
    """Write how far the step of this folder is."""
    write_atomically(folder / FILE, msgspec.json.encode(reached).decode() + "\n")


def read_reached(folder: Path) -> Reached | None:
    """Return how far the step is, with the seconds left from now; None if it is unknown."""
    try:
        values = msgspec.json.decode((folder / FILE).read_bytes(), type=dict[str, Any])
        # JSON has no infinite numbers; msgspec writes null.
        metrics = {name: math.nan if value is None else value for name, value in (values.get("metrics") or {}).items()}
        found = msgspec.convert(values | {"metrics": metrics}, Reached)
    except (FileNotFoundError, msgspec.DecodeError, AttributeError):
        return None
    if found.seconds_left is None:
        return found
    return msgspec.structs.replace(found, seconds_left=max(0.0, found.seconds_left - (time.time() - found.at)))
