"""The nearest valid name, for error messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LISTED = 12


def nearest(name: str, valid: Iterable[str]) -> str | None:
    """The valid name most like `name`, or None when none is like it."""
    by_fold = {_fold(option): option for option in valid}
    found = difflib.get_close_matches(_fold(name), by_fold, n=1, cutoff=0.6)
    # A name begun and not ended: norm_adv for norm_adv_by_std_in_grpo.
    begun = sorted((option for option in by_fold if len(name) > 2 and option.startswith(_fold(name))), key=len)
    match = [*found, *begun]
    return by_fold[match[0]] if match else None


def _fold(name: str) -> str:
    return name.casefold().replace("-", "_")


def suggestion(name: str, valid: Iterable[str]) -> str:
    """`did you mean X?`, or `expected one of …` where nothing is near and the list is short; empty otherwise."""
    options = list(valid)
    found = nearest(name, options)
    if found is not None:
        return f"did you mean {found}?"
    return f"expected {any_of(options)}" if 0 < len(options) <= _LISTED else ""


def any_of(options: Iterable[object]) -> str:
    """`a`, `a or b`, `a, b or c`."""
    *most, last = [str(option) for option in options]
    return f"{', '.join(most)} or {last}" if most else last
