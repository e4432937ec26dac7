"""Python source of values: read as syntax and never run, and compared by value and by type."""

from __future__ import annotations

import ast
import math
import warnings
from collections.abc import Mapping
from typing import Any

LONGEST = 50_000
"""Characters of source that are still read: the parser's own limits hold on everything shorter."""

_FILE = "<response>"
# A string such as '\d' makes the parser warn, once per response.
warnings.filterwarnings("ignore", module=_FILE)
_UNREADABLE = (SyntaxError, ValueError, TypeError, MemoryError, RecursionError)


class NotValueError(ValueError):
    """The source is not that of a plain value."""


def parse(source: str) -> list[ast.stmt]:
    """The statements of a source; an empty list where it has none, does not parse, or is too long or too deep."""
    if len(source) > LONGEST:
        return []
    try:
        # What is `ast.parse`, with a file name that the filter above knows.
        tree: Any = compile(source, _FILE, "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
    except _UNREADABLE:
        return []
    return list(tree.body)


def parse_expression(source: str) -> ast.expr | None:
    """The expression that the source is; None where it is none."""
    body = parse(source.strip())
    return body[0].value if len(body) == 1 and isinstance(body[0], ast.Expr) else None


def read_source(source: str) -> Any:
    """The value that a source stands for: see `read_node`.

    Raises:
        NotValueError: it stands for none.
    """
    node = parse_expression(source)
    if node is None:
        raise NotValueError(f"not the source of a value: {source[:80]!r}")
    return read_node(node)


def read_node(node: ast.AST) -> Any:
    """The value of a literal, with `set()`, `frozenset(…)` and `float('inf')` in any place.

    Not a number is none: it is equal to nothing.

    Raises:
        NotValueError: the node is no such thing.
    """
    try:
        return _read(node)
    except _UNREADABLE as error:
        raise NotValueError("not the source of a value") from error


def is_identical(a: Any, b: Any) -> bool:
    """Whether two plain values are equal and of the same types throughout: 1 is not 1.0, True is not 1.

    Sets and dictionaries are equal in any order, as Python has it.
    """
    try:
        return type(a) is type(b) and bool(a == b) and _freeze(a) == _freeze(b)
    except RecursionError:
        return False


def _read(node: ast.AST) -> Any:
    kind = type(node)
    if kind is ast.Constant:
        value = node.value  # type: ignore[attr-defined]
        if value is ...:
            raise NotValueError("an ellipsis")
        return value
    if kind is ast.List:
        return [_read(each) for each in node.elts]  # type: ignore[attr-defined]
    if kind is ast.Tuple:
        return tuple([_read(each) for each in node.elts])  # type: ignore[attr-defined]
    if kind is ast.Set:
        return {_read(each) for each in node.elts}  # type: ignore[attr-defined]
    if isinstance(node, ast.Dict):
        if None in node.keys:
            raise NotValueError("a dictionary that unpacks another")
        return {_read(key): _read(value) for key, value in zip(node.keys, node.values, strict=True) if key is not None}
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = _read(node.operand)
        if type(value) not in (int, float, complex):
            raise NotValueError("the sign of something that is no number")
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        left, right = _read(node.left), _read(node.right)
        if type(left) not in (int, float) or type(right) is not complex:
            raise NotValueError("a sum that is no complex number")
        return left + right if isinstance(node.op, ast.Add) else left - right
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        return _read_call(node.func.id, [_read(each) for each in node.args])
    raise NotValueError(f"a {kind.__name__}")


def _read_call(name: str, args: list[Any]) -> Any:
    if name == "set" and not args:
        return set()
    if name == "frozenset" and (not args or (len(args) == 1 and isinstance(args[0], list | tuple | set))):
        return frozenset(*args)
    if name == "float" and len(args) == 1 and isinstance(args[0], str):
        value = float(args[0])
        if math.isinf(value):
            return value
    raise NotValueError(f"a call of {name}")


def _freeze(value: Any) -> Any:
    """Something that compares equal only to what is frozen from an identical value."""
    kind = type(value)
    if isinstance(value, list | tuple):
        return (kind, tuple([_freeze(each) for each in value]))
    if isinstance(value, set | frozenset):
        return (kind, frozenset([_freeze(each) for each in value]))
    if isinstance(value, Mapping):
        return (kind, frozenset([(_freeze(key), _freeze(each)) for key, each in value.items()]))
    return (kind, value)
