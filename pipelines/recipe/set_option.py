"""`--set stages.sft.learning_rate=2e-5`: single values over a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipelines.recipe.merging import settle
from pipelines.recipe.nodes import Loc, Node, Origin, name_of
from pipelines.recipe.problems import Problem, RecipeError
from pipelines.recipe.reading import read_scalar
from rewards.suggestions import any_of, did_you_mean

# After all files.
_ORDER = 1_000_000


def apply_all(root: Node, texts: Sequence[str], folder: Path) -> Node:
    """Sets several values, one after the other.

    Raises:
        RecipeError: what is wrong with any of them.
    """
    problems: list[Problem] = []
    for index, text in enumerate(texts):
        try:
            root = apply(root, text, index, folder)
        except RecipeError as error:
            problems.extend(error.problems)
    if problems:
        raise RecipeError(problems)
    return root


def apply(root: Node, text: str, index: int, folder: Path) -> Node:
    """Sets one value, written `key=value`: the key a dotted path with stages by name or index, the value as in YAML.

    Args:
        root: the merged recipe.
        text: the setting.
        index: its place among the settings; problems are shown in this order.
        folder: what a path in the value is relative to.

    Raises:
        RecipeError: the setting has no `=`, or its key goes through something that has no keys.
    """
    key, equals, value = text.partition("=")
    key = key.strip()
    origin = Origin(folder, f"--set {key}", (_ORDER, index))
    if not equals or not key:
        raise RecipeError([Problem(f"--set {text}", "", "expected key=value, such as stages.sft.learning_rate=2e-5")])
    return _set(root, key, origin, read_scalar(value, origin), ())


def _set(node: Node, key: str, origin: Origin, value: Node, done: Loc) -> Node:
    where = ".".join(map(str, done)) or "the recipe"
    if isinstance(node.value, list):
        step, rest = _item(node, key, origin, where)
        items = list(node.value)
        if not rest and value.mark == "remove":
            del items[step]
        else:
            items[step] = _set(items[step], rest, origin, value, (*done, step)) if rest else settle(value)
        return node.with_value(items)
    if not isinstance(node.value, dict):
        raise RecipeError([Problem(origin.text, "", f"{where} is {node.value!r} ({node.origin.text}), it has no keys")])
    name, _, rest = key.partition(".")
    if not name or key.endswith("."):
        raise RecipeError([Problem(origin.text, "", "a dot too many")])
    entries = dict(node.value)
    if not rest:
        if value.mark == "remove":
            if name not in entries:
                raise RecipeError([Problem(origin.text, "", "!remove: nothing to remove, the recipe does not say this")])
            del entries[name]
        else:
            entries[name] = settle(value)
    else:
        inner = entries.get(name)
        if inner is None or inner.value is None:
            inner = Node({}, origin)
        entries[name] = _set(inner, rest, origin, value, (*done, name))
    return node.with_value(entries)


def _item(node: Node, key: str, origin: Origin, where: str) -> tuple[int, str]:
    # A name may hold dots: the longest that fits.
    names = {name: index for index, item in enumerate(node.items) if (name := name_of(item)) is not None}
    fits = [name for name in names if key == name or key.startswith(f"{name}.")]
    if fits:
        name = max(fits, key=len)
        return names[name], key[len(name) + 1 :]
    step, _, rest = key.partition(".")
    if step.isdecimal() and int(step) < len(node.items):
        return int(step), rest
    if step.isdecimal():
        message = f"{where} has {len(node.items)} items, counted from 0"
    elif names:
        message = f"{where} has no {step!r}{did_you_mean(step, names) or f'; expected {any_of(names)}'}"
    else:
        message = f"{where} is a list: expected an index from 0 to {len(node.items) - 1}, found {step!r}"
    raise RecipeError([Problem(origin.text, "", message)])
