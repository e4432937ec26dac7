"""Read the Python source of plain values without running it, and compare values."""

from __future__ import annotations

import ast
import math
import warnings
from collections.abc import Mapping
from typing import Any

LONGEST = 50_000
"""Longest source to parse, in characters. The parser stays within its own limits up to this length."""

_DEEPEST = 200
"""Levels of a syntax tree. Within it, no function that recurses over a tree exceeds Python's limit."""
_MOST_BITS = 14_000
"""Less than the 4,300 decimal digits that Python converts."""
_FILE = "<response>"
# A string such as '\d' would make the parser warn once per response.
warnings.filterwarnings("ignore", module=_FILE)
_UNREADABLE = (SyntaxError, ValueError, TypeError, MemoryError, RecursionError)


class NotValueError(ValueError):
    """The source is not a plain value."""


def parse(source: str) -> list[ast.stmt]:
    """Return the statements of a source, or an empty list if it does not parse or is too long, too deep or too large."""
    if len(source) > LONGEST:
        return []
    try:
        # Same as `ast.parse`, with the file name of the warning filter.
        tree: Any = compile(source, _FILE, "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
    except _UNREADABLE:
        return []
    return [] if _is_too_large(tree) else list(tree.body)


def parse_expression(source: str) -> ast.expr | None:
    """Return the source as an expression, or None if it is not one."""
    body = parse(source.strip())
    return body[0].value if len(body) == 1 and isinstance(body[0], ast.Expr) else None


def read_source(source: str) -> Any:
    """Return the value of a source (see `read_node`).

    Raises:
        NotValueError: The source is not a plain value.
    """
    node = parse_expression(source)
    if node is None:
        raise NotValueError(f"not the source of a value: {source[:80]!r}")
    return read_node(node)


def read_node(node: ast.AST) -> Any:
    """Return the value of a literal; `set()`, `frozenset(…)` and `float('inf')` are allowed anywhere in it.

    NaN is rejected because it equals nothing.

    Raises:
        NotValueError: The node is not a plain value.
    """
    try:
        return _read(node)
    except _UNREADABLE as error:
        raise NotValueError("not the source of a value") from error


def read_literal(node: ast.expr) -> Any:
    """Return the value of a literal, which has no calls except `set()`.

    Raises:
        NotValueError: The node is not a literal.
    """
    try:
        return ast.literal_eval(node)
    except _UNREADABLE as error:
        raise NotValueError("not a literal") from error


def is_same(a: Any, b: Any) -> bool:
    """Compare plain values: numbers by value, containers of the same type only, a bool only with a bool."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, int | float) and isinstance(b, int | float):
        return a == b
    if type(a) is not type(b):
        return False
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(is_same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(is_same(value, b[key]) for key, value in a.items())
    return bool(a == b)


def is_identical(a: Any, b: Any) -> bool:
    """Check that two plain values and all values in them have equal types: 1 is not 1.0, True is not 1.

    The order of sets and dictionaries does not matter.
    """
    try:
        return type(a) is type(b) and bool(a == b) and _freeze(a) == _freeze(b)
    except RecursionError:
        return False


def _is_too_large(tree: ast.AST) -> bool:
    """Check for a tree that is too deep to recurse over, or has an integer too long to write in decimal."""
    level: list[Any] = [tree]
    for _ in range(_DEEPEST):
        children = [child for node in level for field in node._fields for child in _as_list(getattr(node, field, None))]
        if any(isinstance(child, int) and child.bit_length() > _MOST_BITS for child in children):
            return True
        level = [child for child in children if isinstance(child, ast.AST)]
        if not level:
            return False
    return True


def _as_list(field: Any) -> list[Any]:
    return field if isinstance(field, list) else [field]


def _read(node: Any) -> Any:
    kind = type(node)
    if kind is ast.Constant and node.value is not ...:
        return node.value
    if kind is ast.List:
        return [_read(each) for each in node.elts]
    if kind is ast.Tuple:
        return tuple([_read(each) for each in node.elts])
    if kind is ast.Set:
        return {_read(each) for each in node.elts}
    if kind is ast.Dict and None not in node.keys:
        return {_read(key): _read(value) for key, value in zip(node.keys, node.values, strict=True)}
    if kind is ast.UnaryOp and isinstance(node.op, ast.USub | ast.UAdd):
        value = _read(node.operand)
        if type(value) in (int, float, complex):
            return -value if isinstance(node.op, ast.USub) else value
    if kind is ast.BinOp and isinstance(node.op, ast.Add | ast.Sub):
        left, right = _read(node.left), _read(node.right)
        if type(left) in (int, float) and type(right) is complex:
            return left + right if isinstance(node.op, ast.Add) else left - right
    if kind is ast.Call and isinstance(node.func, ast.Name) and not node.keywords:
        args = [_read(each) for each in node.args]
        match node.func.id, args:
            case "set", []:
                return set()
            case "frozenset", [] | [list() | tuple() | set()]:
                return frozenset(*args)
            case "float", [str() as text] if math.isinf(float(text)):
                return float(text)
    raise NotValueError


def _freeze(value: Any) -> Any:
    """Return a key that is equal only for identical values."""
    kind = type(value)
    if isinstance(value, list | tuple):
        return (kind, tuple([_freeze(each) for each in value]))
    if isinstance(value, set | frozenset):
        return (kind, frozenset([_freeze(each) for each in value]))
    if isinstance(value, Mapping):
        return (kind, frozenset([(_freeze(key), _freeze(each)) for key, each in value.items()]))
    return (kind, value)
