"""The nearest valid name or path, for error messages."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path

_LISTED = 20
_SEARCHED = 10_000


def nearest(name: object, valid: Iterable[object]) -> str | None:
    """Return the valid name most similar to `name`; None if none is similar, or too many are valid to compare them all."""
    folded, by_fold = _fold(name), {_fold(option): str(option) for option in valid}
    if len(by_fold) >= _SEARCHED:
        return None
    if close := difflib.get_close_matches(folded, by_fold, n=1, cutoff=0.6):
        return by_fold[close[0]]
    # An incomplete name: norm_adv for norm_adv_by_std_in_grpo, gsm8k for openai/gsm8k.
    longer = [each for each in by_fold if len(folded) > 2 and (each.startswith(folded) or each.endswith(f"/{folded}"))]
    return by_fold[min(longer, key=len)] if longer else None


def did_you_mean(name: object, valid: Iterable[object]) -> str:
    """Return `; did you mean 'x'?`, or nothing if no valid name is similar."""
    guess = nearest(name, valid)
    return "" if guess is None else f"; did you mean {guess!r}?"


def suggestion(name: object, valid: Iterable[object]) -> str:
    """Return `; did you mean 'x'?`, else `; expected a, b or c` if the valid names are few, else nothing."""
    options = sorted(map(str, valid))
    return did_you_mean(name, options) or (f"; expected {any_of(options)}" if 0 < len(options) <= _LISTED else "")


def misspelling(name: str, found: Iterable[object]) -> str:
    """Return `; did you mean 'x'?` for the found name that may be meant by a missing one, else `; found a, b`."""
    names = sorted(map(str, found))
    return did_you_mean(name, names) or f"; found {', '.join(names) or 'none'}"


def nearest_path(path: Path) -> str:
    """Return `; did you mean '/a/b.py'?` for a missing path, or which of its parents exists."""
    parent = path.parent
    if not parent.is_dir():
        return f"; only {next(each for each in parent.parents if each.is_dir())} exists"
    guess = nearest(path.name, (each.name for each in parent.iterdir()))
    return "" if guess is None else f"; did you mean {str(parent / guess)!r}?"


def any_of(options: Iterable[object]) -> str:
    """Return `a`, `a or b`, or `a, b or c`."""
    *most, last = [str(option) for option in options]
    return f"{', '.join(most)} or {last}" if most else last


def _fold(name: object) -> str:
    return str(name).casefold().replace("-", "_")
