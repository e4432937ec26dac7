"""The types that the schema allows at a location of a recipe."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from pipelines.recipe.nodes import Loc, Node
from pipelines.recipe.schema import Recipe

Metadata = tuple[Any, ...]
FieldType = tuple[Any, Metadata]
"""A type without `Annotated`, and the metadata of the annotation."""


def matching_types(annotation: Any, metadata: Metadata = (), node: Node | None = None) -> list[FieldType]:
    """Return the members of a union (or the type itself) that fit a node; all members without a node.

    If several models fit, those that share most keys with the node.
    """
    found = _members(annotation, metadata, node)
    if node is None or len(found) < 2 or not all(is_model(kind) for kind, _ in found):
        return found
    shared = [len(kind.model_fields.keys() & node.children.keys()) for kind, _ in found]
    return [member for member, count in zip(found, shared, strict=True) if count == max(shared)]


def _members(annotation: Any, metadata: Metadata, node: Node | None) -> list[FieldType]:
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        return _members(inner, (*metadata, *more), node)
    if get_origin(annotation) in (Union, types.UnionType):
        return [each for member in get_args(annotation) for each in _members(member, metadata, node)]
    return [(annotation, metadata)] if node is None or _fits(annotation, node) else []


def _fits(annotation: Any, node: Node) -> bool:
    if isinstance(node.value, dict):
        if not is_model(annotation):
            return get_origin(annotation) is dict
        tag, kind = annotation.model_fields.get("kind"), node.children.get("kind")
        return tag is None or kind is None or kind.value in get_args(tag.annotation)
    if isinstance(node.value, list):
        return is_list(annotation)
    return not is_model(annotation) and get_origin(annotation) not in (list, dict)


def is_list(annotation: Any) -> bool:
    """Return whether a type is a list."""
    return getattr(annotation, "__origin__", None) is list


def is_model(annotation: Any) -> bool:
    """Return whether a type is a mapping with known keys."""
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def typed_scalars(
    node: Node, annotation: Any = Recipe, metadata: Metadata = (), loc: Loc = ()
) -> Iterator[tuple[Loc, Node, list[FieldType]]]:
    """Iterate over the scalars that the schema types, with their possible types; free-form mappings are left out."""
    found = matching_types(annotation, metadata, node)
    if isinstance(node.value, dict):
        for key, field in fields(found).items():
            if key in node.value:
                yield from typed_scalars(node.value[key], field.annotation, tuple(field.metadata), (*loc, key))
    elif isinstance(node.value, list):
        for kind, _ in found:
            for index, item in enumerate(node.value):
                yield from typed_scalars(item, get_args(kind)[0], (), (*loc, index))
    elif found:
        yield loc, node, found


def fields(found: list[FieldType]) -> dict[str, FieldInfo]:
    """Return the fields of the models among some types."""
    return {key: field for kind, _ in found if is_model(kind) for key, field in kind.model_fields.items()}


def fields_at(root: Node, loc: Loc, model: type[BaseModel] = Recipe) -> dict[str, FieldInfo]:
    """Return the fields of the mapping at a location; empty if the schema does not define a mapping there."""
    return fields(_types_at(root, loc, model))


def meaning_at(root: Node, loc: Loc, model: type[BaseModel] = Recipe) -> str:
    """Return the documentation of the key at a location; empty if the schema does not define it."""
    models = [kind for kind, _ in _types_at(root, loc[:-1], model) if is_model(kind)]
    return next((text for kind in models if (text := kind.describe_fields().get(str(loc[-1])))), "")


def _types_at(root: Node, loc: Loc, model: type[BaseModel]) -> list[FieldType]:
    annotation: Any = model
    node: Node | None = root
    for step in loc:
        found = matching_types(annotation, (), node)
        if isinstance(step, int):
            annotation = next((get_args(kind)[0] for kind, _ in found if is_list(kind)), None)
        else:
            field = fields(found).get(step)
            annotation = field.annotation if field else None
        node = node.child(step) if node is not None else None
    return matching_types(annotation, (), node)
