"""Finding recipe files, and reading one with all files that it extends."""

from __future__ import annotations

from pathlib import Path

from pipelines.recipe import upstream_keys
from pipelines.recipe.error_messages import describe_value
from pipelines.recipe.merging import clear_marks, deep_merge
from pipelines.recipe.nodes import Node, Origin
from pipelines.recipe.problems import error_at
from pipelines.recipe.reading import read
from pipelines.shipped import RECIPES
from rewards.suggestions import suggestion


def find_recipe(name: str, folder: Path, where: str = "", key: str = "") -> Path:
    """Find a recipe file relative to `folder`, or among the shipped recipes.

    Falling back to the shipped recipes lets a copy of one find the files that it extends.

    Args:
        where: the place of the name in a recipe, for the error.
        key: the key there.

    Raises:
        RecipeError: the file is missing.
    """
    path = folder / Path(name).expanduser()
    if path.is_file():
        return path.resolve()
    # Explicit locations (`./x.yaml`, `../x.yaml`, absolute paths) are not looked up among the shipped recipes.
    plain = str(Path(name)) == name and not Path(name).is_absolute() and ".." not in Path(name).parts
    if plain and (RECIPES / name).is_file():
        return RECIPES / name
    shipped = [file.name for file in sorted(RECIPES.glob("*.yaml"))]
    siblings = [file.name for file in sorted(path.parent.glob("*.yaml"))] if path.parent.is_dir() else []
    reason = "is a folder, expected a recipe file" if path.is_dir() else "recipe file not found"
    hint = suggestion(Path(name).name, list(dict.fromkeys([*siblings, *shipped])))
    listed = f"; shipped recipes: {', '.join(shipped)}" if shipped and not hint.startswith("; expected") else ""
    message = f"{reason}{hint}{listed}"
    raise error_at(where, key, f"{name}: {message}") if where else error_at(name, "", message)


def display_path(path: Path) -> str:
    """Return a path for messages: relative if it is inside the current folder."""
    current = Path.cwd()
    return str(path.relative_to(current)) if path.is_relative_to(current) else str(path)


class RecipeReader:
    """Reads a recipe file and the files that it extends."""

    def __init__(self) -> None:
        self.files: list[Path] = []
        """The files read so far, extended files first."""
        self._open: list[Path] = []
        self._count = 0

    def read(self, path: Path) -> Node:
        """Read a file and merge it over all files that it extends.

        Raises:
            RecipeError: a file cannot be read, is not YAML, or extends itself through other files.
        """
        self._open.append(path)
        self._count += 1
        number = self._count
        node = read(_read_text(path), lambda line: Origin(path.parent, f"{display_path(path)}:{line}", (number, line)))
        if not isinstance(node.value, dict):
            found = describe_value(node.plain())
            raise error_at(node.origin.text, "", f"found {found}, expected a mapping with the keys name, model, stages …")
        node = upstream_keys.nest_keys(node)
        over = node.with_value({key: child for key, child in node.children.items() if key != "extends"})
        base: Node | None = None
        for name in _extended_names(node.children.get("extends")):
            read_base = self._read_base(name, path)
            base = read_base if base is None else deep_merge(base, read_base)
        self._open.pop()
        if path not in self.files:
            self.files.append(path)
        return clear_marks(over) if base is None else deep_merge(base, over)

    def _read_base(self, name: Node, extended_by: Path) -> Node:
        path = find_recipe(str(name.value), extended_by.parent, name.origin.text, "extends")
        if path in self._open:
            chain = " -> ".join(display_path(file) for file in [*self._open[self._open.index(path) :], path])
            raise error_at(name.origin.text, "extends", f"circular reference: {chain}")
        return self.read(path)


def _extended_names(node: Node | None) -> list[Node]:
    if node is None:
        return []
    names = node.items if isinstance(node.value, list) else [node]
    for name in names:
        if not isinstance(name.value, str) or not name.value:
            raise error_at(name.origin.text, "extends", "expected a recipe file or a list of them")
    return names


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise error_at(display_path(path), "", f"not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise error_at(display_path(path), "", f"cannot be read: {error.strerror}") from None
