"""Recipe files: finding them, and reading one with all that it extends."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from pipelines.recipe import upstream_keys
from pipelines.recipe.merging import merge, settle
from pipelines.recipe.nodes import Node, Origin
from pipelines.recipe.problems import Problem, RecipeError
from pipelines.recipe.reading import read
from pipelines.shipped import RECIPES
from rewards.suggestions import suggestion

SHIPPED = RECIPES
"""The recipes that come with this project."""


def find(name: str, folder: Path, where: str = "", key: str = "") -> Path:
    """The file that `name` means: relative to `folder`, or, where there is none, among the shipped recipes, so that a copy of
    one still finds what it extends.

    Raises:
        RecipeError: there is no such file.
    """
    path = folder / Path(name).expanduser()
    if path.is_file():
        return path.resolve()
    # Neither `./x.yaml` nor `../x.yaml` nor an absolute path: those say where.
    plain = str(Path(name)) == name and not Path(name).is_absolute() and ".." not in Path(name).parts
    if plain and (SHIPPED / name).is_file():
        return SHIPPED / name
    shipped = [file.name for file in sorted(SHIPPED.glob("*.yaml"))]
    beside = [file.name for file in sorted(path.parent.glob("*.yaml"))] if path.parent.is_dir() else []
    what = "is a folder, expected a recipe file" if path.is_dir() else "no such recipe file"
    hint = suggestion(Path(name).name, list(dict.fromkeys([*beside, *shipped])))
    listed = f"; shipped recipes: {', '.join(shipped)}" if shipped and not hint.startswith("; expected") else ""
    message = f"{what}{hint}{listed}"
    problem = Problem(where, key, f"{name}: {message}") if where else Problem(name, "", message)
    raise RecipeError([problem])


def shown(path: Path) -> str:
    """A file as messages name it: relative to the current folder where it lies in it."""
    current = Path.cwd()
    return str(path.relative_to(current)) if path.is_relative_to(current) else str(path)


@dataclass
class Files:
    """The files of one recipe."""

    order: list[Path] = field(default_factory=list)
    """Read so far, each after those that it extends."""
    _open: list[Path] = field(default_factory=list)
    _opened: int = 0

    def read(self, path: Path) -> Node:
        """Reads a file with everything that it extends laid under it.

        Raises:
            RecipeError: a file cannot be read, is not YAML, or extends itself in the end.
        """
        self._open.append(path)
        self._opened += 1
        place = self._opened
        node = read(_text(path), lambda line: Origin(path.parent, f"{shown(path)}:{line}", (place, line)))
        if not isinstance(node.value, dict):
            raise RecipeError([Problem(node.origin.text, "", "a recipe is a mapping of keys (name, model, stages …)")])
        node = upstream_keys.expand(node)
        said = node.children.get("extends")
        bases = [self._base(name, path) for name in _names(said)] if said is not None else []
        own = node.with_value({key: child for key, child in node.children.items() if key != "extends"})
        under: Node | None = None
        for base in bases:
            under = base if under is None else merge(under, base)
        self._open.pop()
        if path not in self.order:
            self.order.append(path)
        return settle(own) if under is None else merge(under, own)

    def _base(self, said: Node, by: Path) -> Node:
        path = find(str(said.value), by.parent, said.origin.text, "extends")
        if path in self._open:
            chain = " -> ".join(shown(file) for file in [*self._open[self._open.index(path) :], path])
            raise RecipeError([Problem(said.origin.text, "extends", f"goes in a circle: {chain}")])
        return self.read(path)


def _names(said: Node) -> list[Node]:
    names = said.items if isinstance(said.value, list) else [said]
    for node in names:
        if not isinstance(node.value, str) or not node.value:
            raise RecipeError([Problem(node.origin.text, "extends", "expected a recipe file or a list of them")])
    return names


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise RecipeError([Problem(shown(path), "", f"not UTF-8 text (byte {error.start})")]) from None
    except OSError as error:
        raise RecipeError([Problem(shown(path), "", f"cannot be read: {error.strerror}")]) from None
