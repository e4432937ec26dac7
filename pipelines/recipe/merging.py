"""Merging a recipe over the recipe that it extends."""

from __future__ import annotations

from dataclasses import replace

from pipelines.recipe.nodes import Node
from pipelines.recipe.problems import error_at


def deep_merge(base: Node, over: Node, key: str = "") -> Node:
    """Merge `over` into `base`: mappings key by key, the list `stages` by name; any other value is replaced.

    `!remove` deletes the value of the base; `!replace` replaces a mapping or list instead of merging it.

    Raises:
        RecipeError: `!remove` of a key that the base does not set.
    """
    if over.mark == "replace" or type(base.value) is not type(over.value):
        return clear_marks(over, key)
    if isinstance(over.value, dict):
        return over.with_value(_merge_mappings(base, over, key))
    if isinstance(over.value, list) and key == "stages":
        return over.with_value(_merge_stages(base, over))
    return clear_marks(over, key)


def clear_marks(node: Node, key: str = "") -> Node:
    """Return the tree without marks, for a value without a base.

    Raises:
        RecipeError: the tree contains `!remove`.
    """
    if node.mark == "remove":
        raise error_at(node.origin.text, key, "!remove: nothing to remove, no extended recipe sets this")
    node = replace(node, mark=None)
    if isinstance(node.value, dict):
        return node.with_value({name: clear_marks(child, _join(key, name)) for name, child in node.value.items()})
    if isinstance(node.value, list):
        return node.with_value([clear_marks(item, _join(key, item.name or str(i))) for i, item in enumerate(node.value)])
    return node


def _merge_mappings(base: Node, over: Node, key: str) -> dict[str, Node]:
    result = dict(base.children)
    for name, child in over.children.items():
        if name not in result:
            result[name] = clear_marks(child, _join(key, name))
        elif child.mark == "remove":
            del result[name]
        else:
            result[name] = deep_merge(result[name], child, _join(key, name))
    return result


def _merge_stages(base: Node, over: Node) -> list[Node]:
    result = list(base.items)
    for index, stage in enumerate(over.items):
        key = _join("stages", stage.name or str(index))
        names = [other.name for other in result]
        place = names.index(stage.name) if stage.name in names and stage.name is not None else None
        if place is None:
            result.append(clear_marks(stage, key))
        elif stage.mark == "remove":
            del result[place]
        else:
            result[place] = deep_merge(result[place], stage, key)
    return result


def _join(key: str, name: str) -> str:
    return f"{key}.{name}" if key else name
