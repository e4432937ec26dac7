"""Records whose columns the options name, for sources that everybody writes in columns of their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

import msgspec

StructT = TypeVar("StructT", bound=msgspec.Struct)


def rename(kind: type[StructT], columns: Mapping[str, str | None], types: Mapping[str, Any] | None = None) -> type[StructT]:
    """The record, read from other columns.

    Args:
        columns: Field -> column. A column that is named has to be there, whether or not the field has a default.
        types: Field -> its type, where that is another one, too.

    Raises:
        ValueError: two fields have the same column.
    """
    fields: list[tuple[str, Any, Any]] = []
    for field in msgspec.structs.fields(kind):
        column = columns.get(field.name)
        settings = msgspec.field(name=column) if column else msgspec.field(name=field.encode_name, default=field.default)
        fields.append((field.name, (types or {}).get(field.name, field.type), settings))
    names = [each[2].name for each in fields]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"column {twice!r} is named twice")
    made = msgspec.defstruct(kind.__name__, fields, bases=(kind,), module=kind.__module__, kw_only=True, gc=False)
    return cast("type[StructT]", made)
