"""Read the fields of dataclasses from source code, without importing it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from limits import Limits, checked, texts

_SIMPLE = {
    "int": "integer",
    "float": "number",
    "str": "string",
    "bool": "boolean",
    "dict": "object",
    "Dict": "object",
    "DictConfig": "object",
    "list": "array",
    "List": "array",
    "tuple": "array",
    "Sequence": "array",
    "Path": "string",
    "None": "null",
    "MISSING": "null",
}

ABSENT: Any = object()
"""Marks a field without a literal default."""


@dataclass(frozen=True)
class Type:
    """The values that an annotation allows, as JSON Schema types."""

    names: tuple[str, ...] = ()
    """JSON Schema types; empty: any value."""
    enum: tuple[Any, ...] = ()
    """The allowed values, if they are listed."""
    cls: str | None = None
    """The name of the dataclass, if the annotation is one of the read classes."""


@dataclass(frozen=True)
class Field:
    """A field that is an argument of the class's constructor."""

    type: Type
    default: Any
    """The literal default; `ABSENT` if it is missing or computed."""
    help: str | None
    limits: Limits = field(default_factory=dict)
    """What the class's own checks demand of the value."""


@dataclass(frozen=True)
class _Class:
    node: ast.ClassDef
    bases: tuple[str, ...]
    constants: dict[str, list[Any]]
    """The literals of its module."""


_CHECKING = ("__post_init__", "_validate_args")


class Classes:
    """The classes of source files, by name."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._classes: dict[str, _Class] = {}
        for file in sorted(files):
            module = ast.parse(file.read_text(encoding="utf-8"))
            assignments = (each for each in module.body if isinstance(each, ast.Assign))
            constants = {_last(each.targets[0]): texts(each.value) for each in assignments}
            for node in ast.walk(module):
                if isinstance(node, ast.ClassDef):
                    self._classes.setdefault(node.name, _Class(node, tuple(map(_last, node.bases)), constants))

    def fields(self, name: str) -> dict[str, Field]:
        """Return the fields of a dataclass, including inherited ones; empty for an unknown class."""
        found = self._classes.get(name)
        if found is None:
            return {}
        fields: dict[str, Field] = {}
        for base in reversed(found.bases):
            fields |= self.fields(base)
        for statement in found.node.body:
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                key = statement.target.id
                if _is_field(key, statement):
                    kind = self.type(statement.annotation)
                    fields[key] = Field(kind, *_default_and_help(statement.value), _choices(statement.value))
                else:
                    fields.pop(key, None)
        for statement in found.node.body:
            if isinstance(statement, ast.FunctionDef) and statement.name in _CHECKING:
                for key, limits in checked(statement.body, found.constants).items():
                    if key in fields:
                        fields[key] = replace(fields[key], limits=fields[key].limits | limits)
        return fields

    def type(self, annotation: ast.expr) -> Type:
        """Convert an annotation."""
        members = [self._member(member) for member in _members(annotation)]
        names = {name for member in members for name in member.names}
        enums = [value for member in members for value in member.enum]
        classes = [member.cls for member in members if member.cls]
        if any(member == Type() for member in members):
            return Type()
        open_text = any(member.names == ("string",) and not member.enum for member in members)
        enum = tuple(dict.fromkeys(enums)) if enums and (not open_text or self._is_enum_or_text(members)) else ()
        return Type(tuple(sorted(names)), enum, classes[0] if len(classes) == 1 else None)

    @staticmethod
    def _is_enum_or_text(members: list[Type]) -> bool:
        # `SchedulerType | str`: the text is one of the enumeration's values.
        return {name for member in members for name in member.names} <= {"string", "null"}

    def _member(self, node: ast.expr) -> Type:
        name = _last(node)
        if isinstance(node, ast.Constant) and node.value is None:
            return Type(("null",))
        if isinstance(node, ast.Subscript) and name == "Literal":
            values = _literal(node.slice)
            values = values if isinstance(values, tuple) else (values,)
            return Type(("string",), values)
        if name in _SIMPLE:
            return Type((_SIMPLE[name],))
        found = self._classes.get(name)
        if found is None:
            return Type()
        if set(found.bases) & {"Enum", "StrEnum", "ExplicitEnum", "str"}:
            return Type(("string",), tuple(_enum_values(found.node)))
        return Type(("object",), cls=name)


def _members(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        node = ast.parse(node.value, mode="eval").body
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        yield from _members(node.left)
        yield from _members(node.right)
    elif isinstance(node, ast.Subscript) and _last(node) in ("Optional", "Union"):
        for part in node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]:
            yield from _members(part)
        if _last(node) == "Optional":
            yield ast.Constant(None)
    else:
        yield node


def _last(node: ast.expr) -> str:
    if isinstance(node, ast.Subscript):
        return _last(node.value)
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _literal(node: ast.expr | None, otherwise: Any = None) -> Any:
    try:
        return ast.literal_eval(node) if node is not None else otherwise
    except ValueError:
        return otherwise


def _enum_values(node: ast.ClassDef) -> Iterator[str]:
    for statement in node.body:
        value = _literal(statement.value) if isinstance(statement, ast.Assign) else None
        if isinstance(value, str):
            yield value


def _keywords(node: ast.expr | None) -> Mapping[str, ast.expr]:
    if isinstance(node, ast.Call) and _last(node.func) == "field":
        return {keyword.arg: keyword.value for keyword in node.keywords if keyword.arg}
    return {}


def _is_field(key: str, statement: ast.AnnAssign) -> bool:
    init = _keywords(statement.value).get("init")
    return not key.startswith("_") and _last(statement.annotation) != "ClassVar" and _literal(init) is not False


def _choices(value: ast.expr | None) -> Limits:
    """Return the `choices` of a field's metadata."""
    metadata = _keywords(value).get("metadata")
    entries = zip(metadata.keys, metadata.values, strict=True) if isinstance(metadata, ast.Dict) else ()
    values = [each for key, entry in entries if _literal(key) == "choices" for each in texts(entry)]
    return {"enum": values} if values else {}


def _default_and_help(value: ast.expr | None) -> tuple[Any, str | None]:
    keywords = _keywords(value)
    metadata = keywords.get("metadata")
    text = None
    if isinstance(metadata, ast.Dict):
        entries = {_literal(key): entry for key, entry in zip(metadata.keys, metadata.values, strict=True)}
        text = _literal(entries.get("help"))
    default = _literal(keywords.get("default") if keywords else value, ABSENT)
    return default, " ".join(text.split()) if isinstance(text, str) else None
