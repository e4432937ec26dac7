"""What the schema allows at a place of a recipe."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pipelines.recipe.nodes import Loc, Node
from pipelines.recipe.schema import Recipe
from preprocess.config import PathRule

_Option = tuple[Any, tuple[Any, ...]]
"""A type without Annotated around it, and the metadata that was there."""


def options(annotation: Any, metadata: tuple[Any, ...], node: Node | None) -> list[_Option]:
    """The members of a union (or the type itself) that a value of the node's shape can be.

    Of several models, those that share most keys with the node.
    """
    found = _members(annotation, metadata, node)
    if node is None or len(found) < 2 or not all(_is_model(kind) for kind, _ in found):
        return found
    shared = [len(kind.model_fields.keys() & node.children.keys()) for kind, _ in found]
    return [option for option, count in zip(found, shared, strict=True) if count == max(shared)]


def _members(annotation: Any, metadata: tuple[Any, ...], node: Node | None) -> list[_Option]:
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        return _members(inner, (*metadata, *more), node)
    if get_origin(annotation) in (Union, types.UnionType):
        return [option for member in get_args(annotation) for option in _members(member, metadata, node)]
    return [(annotation, metadata)] if node is None or _fits(annotation, node) else []


def _fits(annotation: Any, node: Node) -> bool:
    if isinstance(node.value, dict):
        if not _is_model(annotation):
            return get_origin(annotation) is dict
        tag = annotation.model_fields.get("kind")
        kind = node.children.get("kind")
        return tag is None or kind is None or kind.value in get_args(tag.annotation)
    if isinstance(node.value, list):
        return _is_list(annotation)
    return not _is_model(annotation) and get_origin(annotation) not in (list, dict)


def _is_list(annotation: Any) -> bool:
    origin: Any = get_origin(annotation)
    return origin is list


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def leaves(root: Node) -> Iterator[tuple[Loc, Node, list[_Option]]]:
    """Every scalar that the schema has a type for, with its place and its possible types; free-form parts left out."""
    yield from _leaves(Recipe, (), root, ())


def _leaves(annotation: Any, metadata: tuple[Any, ...], node: Node, loc: Loc) -> Iterator[tuple[Loc, Node, list[_Option]]]:
    found = options(annotation, metadata, node)
    if isinstance(node.value, dict):
        for key, field in fields(found).items():
            if key in node.value:
                yield from _leaves(field.annotation, tuple(field.metadata), node.value[key], (*loc, key))
    elif isinstance(node.value, list):
        for kind, _ in found:
            for index, item in enumerate(node.value):
                yield from _leaves(*_item(kind), item, (*loc, index))
    elif found:
        yield loc, node, found


def _item(annotation: Any) -> tuple[Any, tuple[Any, ...]]:
    arguments = get_args(annotation)
    return (arguments[0] if arguments else Any), ()


def fields(found: list[_Option]) -> dict[str, FieldInfo]:
    """The fields of the models among some options."""
    return {key: field for kind, _ in found if _is_model(kind) for key, field in kind.model_fields.items()}


def fields_at(root: Node, loc: Loc) -> dict[str, FieldInfo]:
    """The keys that the schema knows in the mapping at `loc`; empty where anything goes or nothing does."""
    annotation: Any = Recipe
    metadata: tuple[Any, ...] = ()
    node: Node | None = root
    for step in loc:
        found = options(annotation, metadata, node)
        if isinstance(step, int):
            lists = [kind for kind, _ in found if _is_list(kind)]
            annotation, metadata = _item(lists[0]) if lists else (None, ())
        else:
            field = fields(found).get(step)
            annotation, metadata = (field.annotation, tuple(field.metadata)) if field else (None, ())
        node = node.child(step) if node is not None else None
    return fields(options(annotation, metadata, node))


def path_rule(found: list[_Option]) -> PathRule | None:
    """The rule of a field that holds a path."""
    return next((mark for _, metadata in found for mark in metadata if isinstance(mark, PathRule)), None)


def takes_text_only(found: list[_Option]) -> bool:
    """Whether a scalar here can be nothing but text (or null)."""
    kinds = {kind for kind, _ in found} - {type(None)}
    return kinds == {str}


def choices_at(root: Node, loc: Loc) -> list[Any]:
    """The values of the Literal at `loc`."""
    field = fields_at(root, loc[:-1]).get(str(loc[-1]))
    kinds = [kind for kind, _ in options(field.annotation, (), None)] if field is not None else []
    return [value for kind in kinds if get_origin(kind) is Literal for value in get_args(kind)]
