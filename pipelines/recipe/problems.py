"""What is wrong with a recipe: one line per problem, all of them at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pipelines.errors import InputError
from pipelines.recipe.nodes import Loc, Node, key_path


@dataclass(frozen=True)
class Problem:
    """One mistake: where it was written, which key it is about, what was found and what was expected."""

    where: str
    """`recipes/x.yaml:12`, or the `--set` that said it."""
    key: str
    """The key's path (`stages.sft.learning_rate`); empty when the mistake is about no key."""
    message: str
    """What was found, what was expected, the nearest valid thing."""

    def __str__(self) -> str:
        # A --set names its key already.
        key = f"{self.key}: " if self.key and not self.where.endswith(self.key) else ""
        # One line, whatever line breaks and control characters a key or a value has.
        return "".join(
            char if char.isprintable() else char.encode("unicode_escape").decode()
            for char in f"{self.where}: {key}{self.message}"
        )


class RecipeError(InputError):
    """Mistakes in a recipe; its text is one line per problem, in the order of the files."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def problem_at(root: Node, loc: Loc, message: str) -> Problem:
    """A problem of the value at `loc`, or of what is around it where it was not written."""
    return Problem(root.nearest(loc).origin.text, key_path(root, loc), message)
