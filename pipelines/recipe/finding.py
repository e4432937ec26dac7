"""Finding recipe files, and reading one with all files that it extends."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

from pipelines.recipe import upstream_keys
from pipelines.recipe.merging import clear_marks, deep_merge
from pipelines.recipe.nodes import Node, Origin
from pipelines.recipe.problems import describe_value, error_at
from pipelines.recipe.reading import read
from pipelines.shipped import RECIPES, find_recipes
from rewards.suggestions import suggestion

_LARGEST = 500_000
"""Bytes of a file; the shipped recipes have at most 6,000."""


def find_recipe(name: str, folder: Path, where: str = "", key: str = "") -> Path:
    """Find a recipe file relative to `folder`, or among the shipped recipes of its checkout or of this one.

    Falling back to the shipped recipes lets a copy of one find the files that it extends.

    Args:
        where: the place of the name in a recipe, for the error.
        key: the key there.

    Raises:
        RecipeError: the file is missing.
    """
    try:
        path = folder / Path(name).expanduser()
        if path.is_file():
            return path.resolve()
    except (OSError, RuntimeError) as error:
        message = f"cannot be read: {getattr(error, 'strerror', None) or error}"
        raise error_at(where or name, key if where else "", message) from None
    # Explicit locations (`./x.yaml`, `../x.yaml`, absolute paths) are not looked up among the shipped recipes.
    plain = str(Path(name)) == name and not Path(name).is_absolute() and ".." not in Path(name).parts
    recipes = find_recipes(folder)
    for each in (recipes, RECIPES):
        if plain and (each / name).is_file():
            return each / name
    shipped = [file.name for file in sorted(recipes.glob("*.yaml"))]
    reason = "is a folder, expected a recipe file" if path.is_dir() else "recipe file not found"
    hint = suggestion(Path(name).name, {*(file.name for file in path.parent.glob("*.yaml")), *shipped})
    message = f"{reason}{hint or '; `pipeline recipes` lists those that ship'}"
    raise error_at(where, key, f"{name}: {message}") if where else error_at(name, "", message)


def read_recipe(path: Path, extended_by: tuple[Path, ...] = (), numbers: Iterator[int] | None = None) -> Node:
    """Read a recipe file and merge it over all files that it extends.

    Args:
        path: the file.
        extended_by: the files that lead to this one by `extends`.
        numbers: numbers the files in the order of reading.

    Raises:
        RecipeError: a file cannot be read, is not YAML, or extends itself through other files.
    """
    numbers = numbers or count()
    chain = (*extended_by, path)
    node = upstream_keys.nest_keys(read_file(path, path.parent, "name, model, stages", next(numbers)))
    over = node.with_value({key: child for key, child in node.children.items() if key != "extends"})
    base: Node | None = None
    seen: list[Path] = []
    for name in _extended_names(node.child("extends")):
        file = find_recipe(str(name.value), path.parent, name.origin.text, "extends")
        if file in chain:
            circle = " -> ".join(map(_display_path, [*chain[chain.index(file) :], file]))
            raise error_at(name.origin.text, "extends", f"circular reference: {circle}")
        inner = read_recipe(file, chain, numbers)
        if file in seen:
            raise error_at(name.origin.text, "extends", f"{name.value} is listed twice")
        seen.append(file)
        base = inner if base is None else deep_merge(base, inner)
    return clear_marks(over) if base is None else deep_merge(base, over)


def read_file(path: Path, folder: Path, keys: str, number: int = 0) -> Node:
    """Read a YAML file that is a mapping.

    Args:
        path: The file.
        folder: The base of relative paths in its values.
        keys: Some of the expected keys, for the error.
        number: Its number in the order of reading.

    Raises:
        RecipeError: It cannot be read, is not YAML, or is not a mapping.
    """
    shown = _display_path(path)
    try:
        if (size := path.stat().st_size) > _LARGEST:
            raise error_at(shown, "", f"found {size:,} bytes, expected a recipe of at most {_LARGEST:,}")
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise error_at(shown, "", f"not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise error_at(shown, "", f"cannot be read: {error.strerror}") from None
    node = read(text, lambda line: Origin(folder, f"{shown}:{line}", (number, line)))
    if not isinstance(node.value, dict):
        raise error_at(node.origin.text, "", f"found {describe_value(node.plain())}, expected a mapping with the keys {keys} …")
    return node


def _display_path(path: Path) -> str:
    """Return a path for messages: relative if it is inside the current folder."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def _extended_names(node: Node | None) -> list[Node]:
    if node is None:
        return []
    names = node.items if isinstance(node.value, list) else [node]
    for name in names:
        if not isinstance(name.value, str) or not name.value:
            raise error_at(name.origin.text, "extends", "expected a recipe file or a list of them")
    return names
