"""Functions compared by their bodies, without names, docstrings, annotations and layout."""

from __future__ import annotations

import ast
import hashlib
import warnings
from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

from rewards.parsing.blocks import read_blocks

FEWEST_NODES = 20
"""Fewest nodes of the syntax tree for which equal bodies are evidence; `while b: a, b = b, a % b` and `return a` have 13."""

_LONGEST_CODE = 200_000
_SHORTEST_CODE = 60
"""Characters; a function with `FEWEST_NODES` nodes has more."""

# Fields that do not change what a function does; of a class also its keywords.
_IGNORED = {"annotation", "ctx", "decorator_list", "kind", "returns", "type_comment", "type_ignores", "type_params"}
_FIELDS: dict[type, tuple[str, ...]] = {
    kind: tuple(name for name in kind._fields if name not in _IGNORED and (kind, name) != (ast.ClassDef, "keywords"))
    for kind in vars(ast).values()
    if isinstance(kind, type) and issubclass(kind, ast.AST)
}
_NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler, ast.MatchAs, ast.MatchStar)
_NAME_FIELDS: dict[type, str] = {ast.Name: "id", ast.arg: "arg", **dict.fromkeys(_NAMED, "name")}


def find_code(text: str) -> list[str]:
    """Return the code in a text: its fenced blocks, or all of it if it has none and may be a program."""
    if "def " not in text:
        return []
    blocks = [each.text for each in read_blocks(text) if each.is_python or not each.language] or [text]
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
        """Write a node and its descendants, a list or a constant."""
        kind = type(node)
        if not isinstance(node, ast.AST):
            if kind is not list:
                self._parts.append(repr(node))
                return
            self._parts.append("[")
            for each in node:
                self.write(each)
            self._parts.append("]")
        elif isinstance(node, ast.AnnAssign):
            if node.value is not None:
                self.write(ast.Assign([node.target], node.value))
        elif not _is_docstring(node):
            self._nodes += kind is not ast.arg
            self._parts.append(kind.__name__)
            self._write_fields(node, kind)

    def _write_fields(self, node: Any, kind: type[Any]) -> None:
        begin = body = len(self._parts)
        nodes = self._nodes
        name_field = _NAME_FIELDS.get(kind)
        for field in _FIELDS[kind]:
            if field == "body":
                body, nodes = len(self._parts), self._nodes
            value = getattr(node, field, None)
            if field == name_field and value is not None:
                place = (len(self._parts), value)
                self._used.append(place)
                if not (kind is ast.Name and isinstance(node.ctx, ast.Load)):
                    self._bound.append(place)
                self._parts.append(value)
            else:
                self.write(value)
        if kind is ast.FunctionDef or kind is ast.AsyncFunctionDef:
            self.functions.append(_Function(begin, body, len(self._parts), self._nodes - nodes))

    def digest(self, function: _Function) -> bytes:
        """Return a digest of the function's body, with its bound names numbered in the order of their use."""
        bound = {name for _, name in _between(self._bound, function.begin, function.end)}
        parts, numbers = self._parts[function.body : function.end], dict[str, int]()
        for place, name in _between(self._used, function.body, function.end):
            if name in bound:
                parts[place - function.body] = f"_{numbers.setdefault(name, len(numbers))}"
        return hashlib.blake2b("\0".join(parts).encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _between(names: list[tuple[int, str]], begin: int, end: int) -> list[tuple[int, str]]:
    return names[bisect_left(names, (begin, "")) : bisect_left(names, (end, ""))]
