"""`--set stages.sft.learning_rate=2e-5`: single values over a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipelines.recipe.merging import clear_marks
from pipelines.recipe.nodes import Loc, Node, Origin, Step
from pipelines.recipe.problems import Problem, RecipeError, error_at
from pipelines.recipe.reading import read_scalar
from rewards.suggestions import any_of, did_you_mean

# Sorts problems of options after those of all files.
_ORDER = 1_000_000
_LONGEST_INDEX = 7
_MAX_DEPTH = 64


def apply_set_options(root: Node, options: Sequence[str], folder: Path) -> Node:
    """Set values one after the other.

    Args:
        root: the merged recipe.
        options: `key=value` each: the key a dotted path with stages by name or index, the value as in YAML.
        folder: the base of relative paths in the values.

    Raises:
        RecipeError: an option has no `=`, or its key leads through a value that is not a mapping or list.
    """
    problems: list[Problem] = []
    for index, option in enumerate(options):
        key, equals, value = option.partition("=")
        key = key.strip()
        origin = Origin(folder, f"--set {key}", (_ORDER, index))
        try:
            if not equals or not key:
                raise error_at(f"--set {option}", "", "expected key=value, such as stages.sft.learning_rate=2e-5")
            if key.count(".") > _MAX_DEPTH:
                raise error_at(origin.text, "", f"found {key.count('.') + 1} levels, expected at most {_MAX_DEPTH}")
            root = _set(root, key, read_scalar(value, origin), ())
        except RecipeError as error:
            problems.extend(error.problems)
    if problems:
        raise RecipeError(problems)
    return root


def _set(node: Node, key: str, value: Node, done: Loc) -> Node:
    where, origin = ".".join(map(str, done)) or "the recipe", value.origin
    step: Step
    if isinstance(node.value, list):
        step, rest = _find_item(node, key, origin, where)
    elif isinstance(node.value, dict):
        step, _, rest = key.partition(".")
        if not step or key.endswith("."):
            raise error_at(origin.text, "", "empty key: two dots in a row, or a dot at an end")
    else:
        raise error_at(origin.text, "", f"{where} is {node.value!r} ({node.origin.text}), not a mapping")
    entries: dict[Any, Node] = dict(node.children) or dict(enumerate(node.items))
    if rest:
        inner = entries.get(step)
        if inner is None or inner.value is None:
            inner = Node({}, origin)
        entries[step] = _set(inner, rest, value, (*done, step))
    elif value.mark != "remove":
        entries[step] = clear_marks(value)
    elif entries.pop(step, None) is None:
        raise error_at(origin.text, "", "!remove: nothing to remove, the recipe does not set this")
    return node.with_value(list(entries.values()) if isinstance(node.value, list) else entries)


def _find_item(node: Node, key: str, origin: Origin, where: str) -> tuple[int, str]:
    """Return the index of the list item that a key begins with, and the rest of the key."""
    names = {item.name: index for index, item in enumerate(node.items) if item.name is not None}
    # A name may contain dots: the longest match counts.
    matches = [name for name in names if key == name or key.startswith(f"{name}.")]
    if matches:
        name = max(matches, key=len)
        return names[name], key[len(name) + 1 :]
    step, _, rest = key.partition(".")
    is_index = step.isascii() and step.isdecimal() and len(step) < _LONGEST_INDEX
    if is_index and int(step) < len(node.items):
        return int(step), rest
    if is_index:
        message = f"{where} has {len(node.items)} items, counted from 0"
    elif names:
        message = f"{where} has no {step!r}{did_you_mean(step, names) or f'; expected {any_of(names)}'}"
    else:
        message = f"{where} is a list: expected an index from 0 to {len(node.items) - 1}, found {step!r}"
    raise error_at(origin.text, "", message)
