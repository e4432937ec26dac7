"""Functions compared by their bodies, without names, docstrings, annotations and layout."""

from __future__ import annotations

import ast
import hashlib
import re
import warnings
from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

FEWEST_NODES = 20
"""Fewest nodes of the syntax tree for which equal bodies are evidence; `while b: a, b = b, a % b` and `return a` have 13."""

_LONGEST_CODE = 200_000
_FENCE = re.compile(r"```(?:python3?|py)?[ \t]*\n(.*?)```", re.DOTALL)
_SHORTEST_CODE = 60
"""Characters; a function with `FEWEST_NODES` nodes has more."""


def find_code(text: str) -> list[str]:
    """Return the code in a text: its fenced blocks, or all of it if it has none and may be a program."""
    if "def " not in text:
        return []
    blocks: list[str] = _FENCE.findall(text) if "```" in text else [text]
    return [block for block in blocks if "def " in block]


def digest_bodies(code: str) -> list[bytes]:
    """Return a digest of the body of each function that is not trivial; nothing if the code is not Python.

    Two bodies have the same digest if they differ only in the names that they bind, docstrings, annotations, decorators and
    layout. A function less than half as large as the largest is a helper that many programs may share, and is left out.
    """
    if not _SHORTEST_CODE <= len(code) <= _LONGEST_CODE:
        return []
    writer = _Writer()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes such as "\d"
        try:
            writer.write(ast.parse(code))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return []
    fewest = max([FEWEST_NODES, *(each.nodes / 2 for each in writer.functions)])
    return [writer.digest(each) for each in writer.functions if each.nodes >= fewest]


@dataclass(frozen=True)
class _Function:
    """The position of a function in the written parts."""

    begin: int
    """Begin of its arguments."""
    body: int
    end: int
    nodes: int
    """Nodes of its body."""


class _Writer:
    """Writes a program node by node, and records the names that it binds and the position of each function."""

    def __init__(self) -> None:
        self.functions: list[_Function] = []
        self._parts: list[str] = []
        self._nodes = 0
        # The positions of all names in the parts, and of those that are bound.
        self._used: list[tuple[int, str]] = []
        self._bound: list[tuple[int, str]] = []

    def write(self, node: Any) -> None:
        """Write a node and its descendants."""
        kind = node.__class__
        special = _SPECIAL.get(kind)
        if special is not None:
            special(self, node)
            return
        self._nodes += 1
        self._parts.append(kind.__name__)
        for name in _FIELDS.get(kind) or _find_fields(kind):
            self._write_value(getattr(node, name, None))

    def digest(self, function: _Function) -> bytes:
        """Return a digest of the function's body, with its bound names numbered in the order of their use."""
        bound = {name for _, name in _between(self._bound, function.begin, function.end)}
        parts, numbers = self._parts[function.body : function.end], dict[str, int]()
        for place, name in _between(self._used, function.body, function.end):
            if name in bound:
                parts[place - function.body] = f"_{numbers.setdefault(name, len(numbers))}"
        return hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=8).digest()

    def _write_value(self, value: Any) -> None:
        if isinstance(value, list):
            self._parts.append("[")
            for each in value:
                self._write_value(each)
            self._parts.append("]")
        elif isinstance(value, ast.AST):
            self.write(value)
        else:
            self._parts.append(str(value))

    def _use(self, name: str) -> None:
        self._used.append((len(self._parts), name))
        self._parts.append(name)

    def _bind(self, name: str | None) -> None:
        if name is not None:
            self._bound.append((len(self._parts), name))
            self._use(name)

    def _write_name(self, node: ast.Name) -> None:
        self._nodes += 1
        if isinstance(node.ctx, ast.Load):
            self._use(node.id)
        else:
            self._bind(node.id)

    def _write_constant(self, node: ast.Constant) -> None:
        self._nodes += 1
        self._parts.append(repr(node.value))

    def _write_expression(self, node: ast.Expr) -> None:
        if not (isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)):  # a docstring
            self._nodes += 1
            self.write(node.value)

    def _write_annotated(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self._nodes += 1
            self._parts.append("Assign")
            self._write_value([node.target])
            self.write(node.value)

    def _write_argument(self, node: ast.arg) -> None:
        self._bind(node.arg)

    def _write_named(self, node: ast.ExceptHandler | ast.MatchAs | ast.MatchStar) -> None:
        self._nodes += 1
        self._parts.append(type(node).__name__)
        for name in node._fields:
            if name == "name":
                self._bind(node.name)
            else:
                self._write_value(getattr(node, name))

    def _write_class(self, node: ast.ClassDef) -> None:
        self._nodes += 1
        self._parts.append("ClassDef")
        self._bind(node.name)
        self._write_value(node.bases)
        self._write_value(node.body)

    def _write_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        self._nodes += 1
        self._parts.append(type(node).__name__)
        begin = len(self._parts)
        self._bind(node.name)
        self.write(node.args)
        body, nodes = len(self._parts), self._nodes
        for statement in node.body:
            self.write(statement)
        self.functions.append(_Function(begin, body, len(self._parts), self._nodes - nodes))


def _between(names: list[tuple[int, str]], begin: int, end: int) -> list[tuple[int, str]]:
    return names[bisect_left(names, (begin, "")) : bisect_left(names, (end, ""))]


_SPECIAL: dict[type, Any] = {
    ast.Name: _Writer._write_name,
    ast.Constant: _Writer._write_constant,
    ast.Expr: _Writer._write_expression,
    ast.AnnAssign: _Writer._write_annotated,
    ast.arg: _Writer._write_argument,
    ast.ExceptHandler: _Writer._write_named,
    ast.MatchAs: _Writer._write_named,
    ast.MatchStar: _Writer._write_named,
    ast.ClassDef: _Writer._write_class,
    ast.FunctionDef: _Writer._write_function,
    ast.AsyncFunctionDef: _Writer._write_function,
}
_FIELDS: dict[type, tuple[str, ...]] = {}


def _find_fields(kind: type[ast.AST]) -> tuple[str, ...]:
    fields = _FIELDS[kind] = tuple(name for name in kind._fields if name not in ("ctx", "type_comment", "type_ignores"))
    return fields
