"""Documentation of a converter's options, from the strings below them in its source."""

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
    """An option."""

    name: str
    kind: Any
    """Its type."""
    needed: bool
    default: Any
    """None if the option is required."""
    meaning: str
    """Empty for options of custom converters."""


def explain_options(options: type[Options]) -> list[OptionDoc]:
    """Return the options in their order, those of the base class first."""
    meanings = {name: text for base in reversed(options.__mro__) for name, text in _find_texts(base).items()}
    docs = []
    for field in msgspec.structs.fields(options):
        default = None if field.required else field.default
        if field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        docs.append(OptionDoc(field.name, field.type, field.required, default, meanings.get(field.name, "")))
    return docs


@functools.cache
def _find_texts(kind: type) -> dict[str, str]:
    if not issubclass(kind, Options):
        return {}
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    except OSError:  # created from the parameters of a function
        return {}
    texts = {}
    for definition in tree.body:
        for field, below in pairwise(definition.body if isinstance(definition, ast.ClassDef) else ()):
            match field, below:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    texts[name] = inspect.cleandoc(text)
    return texts
