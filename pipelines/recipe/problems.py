"""Mistakes in a recipe: one line each, all reported together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pipelines.errors import InputError
from pipelines.recipe.nodes import Loc, Node, key_path

Found = Iterator[tuple[Loc, str]]
"""Mistakes that a check finds: the place of each in the recipe or the stage, and the message."""


@dataclass(frozen=True)
class Problem:
    """One mistake."""

    where: str
    """Where it was written: `recipes/x.yaml:12`, or the `--set` option."""
    key: str
    """The path of the key (`stages.sft.learning_rate`); empty if the mistake is not about a key."""
    message: str
    """What was found, what was expected, and the nearest valid value."""

    def __str__(self) -> str:
        # The text of a --set contains the key already.
        key = f"{self.key}: " if self.key and not self.where.endswith(self.key) else ""
        text = f"{shorten(self.where)}: {shorten(key)}{shorten(self.message)}"
        # Escape line breaks and control characters in keys and values.
        return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


_LONGEST = 1200


def shorten(text: str) -> str:
    """Leave out the middle of a text with a long value."""
    half = _LONGEST // 2
    return text if len(text) <= _LONGEST else f"{text[:half]} … {text[-half:]}"


SHOWN = 20
"""The number of mistakes that are reported at once."""


class RecipeError(InputError):
    """Mistakes in a recipe; its text is one line per problem, in the order of the files, and how many are not shown."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        more = ["more mistakes are not shown; fix these first"] if len(self.problems) > SHOWN else []
        super().__init__("\n".join([*map(str, self.problems[:SHOWN]), *more]))


def error_at(where: str, key: str, message: str) -> RecipeError:
    """Return the error for a single problem."""
    return RecipeError([Problem(where, key, message)])


def problem_at(root: Node, loc: Loc, message: str) -> Problem:
    """Return a problem of the value at a location, or of the node around it if the value was not written."""
    return Problem(root.nearest(loc).origin.text, key_path(root, loc), message)


def describe_value(value: object) -> str:
    """Return a value as messages show it."""
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    return f"the text {value!r}" if isinstance(value, str) else repr(value)
