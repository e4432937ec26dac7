"""Words of error messages: counted things, and kinds of JSON values."""

from __future__ import annotations


def count(number: int, noun: str) -> str:
    """Return `1 row` or `2 rows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def kind_of(value: object) -> str:
    """Return what a value is in JSON, such as `a number`; for other values the name of its type."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    for kinds, words in ((str, "text"), ((int, float), "a number"), ((list, tuple), "a list"), (dict, "an object")):
        if isinstance(value, kinds):
            return words
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiouAEIOU' else 'a'} {name}"
