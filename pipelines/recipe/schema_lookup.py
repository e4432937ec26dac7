"""The types that the schema allows at a location of a recipe."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pipelines.recipe.nodes import Loc, Node
from pipelines.recipe.schema import Recipe
from preprocess.config import PathRule

FieldType = tuple[Any, tuple[Any, ...]]
"""A type without `Annotated`, and the metadata of the annotation."""


def matching_types(annotation: Any, metadata: tuple[Any, ...], node: Node | None) -> list[FieldType]:
    """Return the members of a union (or the type itself) that fit a node; all members without a node.

    If several models fit, those that share most keys with the node.
    """
    found = _members(annotation, metadata, node)
    if node is None or len(found) < 2 or not all(_is_model(kind) for kind, _ in found):
        return found
    shared = [len(kind.model_fields.keys() & node.children.keys()) for kind, _ in found]
    return [member for member, count in zip(found, shared, strict=True) if count == max(shared)]


def _members(annotation: Any, metadata: tuple[Any, ...], node: Node | None) -> list[FieldType]:
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        return _members(inner, (*metadata, *more), node)
    if get_origin(annotation) in (Union, types.UnionType):
        return [each for member in get_args(annotation) for each in _members(member, metadata, node)]
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


def typed_scalars(root: Node) -> Iterator[tuple[Loc, Node, list[FieldType]]]:
    """Iterate over the scalars that the schema types, with their possible types; free-form mappings are left out."""
    yield from _typed_scalars(Recipe, (), root, ())


def _typed_scalars(
    annotation: Any, metadata: tuple[Any, ...], node: Node, loc: Loc
) -> Iterator[tuple[Loc, Node, list[FieldType]]]:
    found = matching_types(annotation, metadata, node)
    if isinstance(node.value, dict):
        for key, field in fields(found).items():
            if key in node.value:
                yield from _typed_scalars(field.annotation, tuple(field.metadata), node.value[key], (*loc, key))
    elif isinstance(node.value, list):
        for kind, _ in found:
            for index, item in enumerate(node.value):
                yield from _typed_scalars(_item_type(kind), (), item, (*loc, index))
    elif found:
        yield loc, node, found


def _item_type(annotation: Any) -> Any:
    arguments = get_args(annotation)
    return arguments[0] if arguments else Any


def fields(found: list[FieldType]) -> dict[str, FieldInfo]:
    """Return the fields of the models among some types."""
    return {key: field for kind, _ in found if _is_model(kind) for key, field in kind.model_fields.items()}


def fields_at(root: Node, loc: Loc) -> dict[str, FieldInfo]:
    """Return the fields of the mapping at a location; empty if the schema does not define a mapping there."""
    annotation: Any = Recipe
    metadata: tuple[Any, ...] = ()
    node: Node | None = root
    for step in loc:
        found = matching_types(annotation, metadata, node)
        if isinstance(step, int):
            annotation, metadata = next((_item_type(kind) for kind, _ in found if _is_list(kind)), None), ()
        else:
            field = fields(found).get(step)
            annotation, metadata = (field.annotation, tuple(field.metadata)) if field else (None, ())
        node = node.child(step) if node is not None else None
    return fields(matching_types(annotation, metadata, node))


def path_rule(found: list[FieldType]) -> PathRule | None:
    """Return the rule of a field that holds a path."""
    return next((mark for _, metadata in found for mark in metadata if isinstance(mark, PathRule)), None)


def is_text_only(found: list[FieldType]) -> bool:
    """Return whether a scalar can only be text (or null)."""
    return {kind for kind, _ in found} - {type(None)} == {str}


def choices_at(root: Node, loc: Loc) -> list[Any]:
    """Return the values of the Literal at a location."""
    field = fields_at(root, loc[:-1]).get(str(loc[-1]))
    kinds = [kind for kind, _ in matching_types(field.annotation, (), None)] if field is not None else []
    return [value for kind in kinds if get_origin(kind) is Literal for value in get_args(kind)]
