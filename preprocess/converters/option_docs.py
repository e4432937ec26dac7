"""What a converter's options mean, from the texts below them in its source."""

from __future__ import annotations

import ast
import functools
import inspect
import textwrap
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import msgspec

from preprocess.converters.base import Options


@dataclass(frozen=True)
class OptionDoc:
    """What is known of an option."""

    name: str
    kind: Any
    """Its type."""
    needed: bool
    default: Any
    """None where it is needed."""
    meaning: str
    """Empty for options of one's own converters."""


def explain_options(options: type[Options]) -> list[OptionDoc]:
    """The options in their order, those of the base class first."""
    meanings = {name: text for base in reversed(options.__mro__) for name, text in _find_texts(base).items()}
    return [
        OptionDoc(field.name, field.type, field.required, _find_default(field), meanings.get(field.name, ""))
        for field in msgspec.structs.fields(options)
    ]


def _find_default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return None if field.required else field.default


@functools.cache
def _find_texts(kind: type) -> dict[str, str]:
    if not issubclass(kind, Options):
        return {}
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    except OSError:  # it was made of a function's parameters
        return {}
    texts = {}
    for definition in tree.body:
        for field, below in pairwise(definition.body if isinstance(definition, ast.ClassDef) else ()):
            match field, below:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    texts[name] = inspect.cleandoc(text)
    return texts
