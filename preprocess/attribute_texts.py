"""The documentation of a class's attributes: the string below each of them."""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path


@functools.cache
def read_attribute_texts(kind: type) -> Mapping[str, str]:
    """Return the text below each annotated attribute of a class; empty if its source is not known."""
    try:
        file = inspect.getsourcefile(kind)
    except TypeError:  # built in
        file = None
    body = _read_classes(file).get(kind.__qualname__, []) if file else []
    texts: dict[str, str] = {}
    for pair in pairwise(body):
        match pair:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                texts[name] = inspect.cleandoc(text)
    return texts


@functools.cache
def _read_classes(file: str) -> Mapping[str, list[ast.stmt]]:
    """Return the bodies of the classes of a file by their qualified names."""
    try:
        return dict(_walk(ast.parse(Path(file).read_bytes()), ""))
    except OSError:
        return {}


def _walk(node: ast.AST, prefix: str) -> Iterator[tuple[str, list[ast.stmt]]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef):
            yield f"{prefix}{child.name}", child.body
            yield from _walk(child, f"{prefix}{child.name}.")
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _walk(child, f"{prefix}{child.name}.<locals>.")
        else:
            yield from _walk(child, prefix)
