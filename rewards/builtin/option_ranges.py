"""Ranges of options that several built-in rewards have."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

# Option -> least and greatest value, and what is expected.
_RANGES: Mapping[str, tuple[float, float, str]] = {
    "seconds": (0.01, 3600, "0.01 to 3600"),
    "memory_mb": (16, 2**20, "16 to 1048576"),
    "max_tests": (1, math.inf, "at least 1"),
    "short_threshold": (0, math.inf, "at least 0"),
    "best": (0.001, math.inf, "more than 0"),
    "format_bonus": (0, 100, "0 to 100"),
    "format_score": (0, 1, "0 to 1"),
    "call_bonus": (0, 100, "0 to 100"),
    "most_bonus": (0, 100, "0 to 100"),
    "malformed_penalty": (0, 100, "0 to 100"),
}


def check_ranges(options: Mapping[str, Any]) -> None:
    """Check the numbers among a reward's options.

    Raises:
        ValueError: A number is out of its range.
    """
    for name, (least, most, expected) in _RANGES.items():
        value = options.get(name)
        if isinstance(value, int | float) and not least <= value <= most:
            raise ValueError(f"option {name} is {value:g}, expected {expected}")
