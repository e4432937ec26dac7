"""A recipe over the recipe that it extends."""

from __future__ import annotations

from dataclasses import replace

from pipelines.recipe.nodes import Node, name_of
from pipelines.recipe.problems import Problem, RecipeError


def merge(base: Node, over: Node, key: str = "") -> Node:
    """Lays `over` on `base`: mappings deeply, the list `stages` by name; anything else replaces.

    `!remove` takes away what the base says; `!replace` puts a mapping or list in its place instead of merging.

    Raises:
        RecipeError: `!remove` of something that the base does not say.
    """
    if over.mark == "replace" or type(base.value) is not type(over.value):
        return settle(over, key)
    if isinstance(over.value, dict):
        return over.with_value(_mappings(base, over, key))
    if isinstance(over.value, list) and key == "stages":
        return over.with_value(_stages(base, over))
    return settle(over, key)


def settle(node: Node, key: str = "") -> Node:
    """The tree without marks, for a value that lies on nothing."""
    if node.mark == "remove":
        raise RecipeError([Problem(node.origin.text, key, "!remove: nothing to remove, no extended recipe says this")])
    node = replace(node, mark=None)
    if isinstance(node.value, dict):
        return node.with_value({name: settle(child, _join(key, name)) for name, child in node.value.items()})
    if isinstance(node.value, list):
        return node.with_value([settle(item, _join(key, name_of(item) or str(i))) for i, item in enumerate(node.value)])
    return node


def _mappings(base: Node, over: Node, key: str) -> dict[str, Node]:
    result = dict(base.children)
    for name, child in over.children.items():
        if name not in result:
            result[name] = settle(child, _join(key, name))
        elif child.mark == "remove":
            del result[name]
        else:
            result[name] = merge(result[name], child, _join(key, name))
    return result


def _stages(base: Node, over: Node) -> list[Node]:
    result = list(base.items)
    for index, stage in enumerate(over.items):
        name = name_of(stage)
        key = _join("stages", name or str(index))
        place = next((i for i, other in enumerate(result) if name is not None and name_of(other) == name), None)
        if place is None:
            result.append(settle(stage, key))
        elif stage.mark == "remove":
            del result[place]
        else:
            result[place] = merge(result[place], stage, key)
    return result


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name
