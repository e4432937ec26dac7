"""Functions compared by what they do: their bodies without names, docstrings, annotations and layout."""

from __future__ import annotations

import ast
import hashlib
import re
import warnings
from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

FEWEST_NODES = 20
"""Nodes of the syntax tree from which on an equal body is no accident; `while b: a, b = b, a % b` and `return a` have 13."""

_LONGEST_CODE = 200_000
_FENCE = re.compile(r"```(?:python3?|py)?[ \t]*\n(.*?)```", re.DOTALL)
_SHORTEST_CODE = 60
"""Characters: a function of so many nodes has more."""


def find_code(text: str) -> list[str]:
    """The code in a text: its fenced blocks, or all of it where it has none and may be a program."""
    if "def " not in text:
        return []
    blocks: list[str] = _FENCE.findall(text) if "```" in text else [text]
    return [block for block in blocks if "def " in block]


def digest_bodies(code: str) -> list[bytes]:
    """A digest of the body of each function that is more than trivial; none where the code is not Python.

    Two bodies have the same digest when they differ only in the names of what they bind, in docstrings, annotations,
    decorators and layout. A function less than half as large as the largest is a helper, such as is in many programs, and
    is left out.
    """
    if not _SHORTEST_CODE <= len(code) <= _LONGEST_CODE:
        return []
    writer = _Writer()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "\d" in somebody's pattern
        try:
            writer.write(ast.parse(code))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return []
    fewest = max([FEWEST_NODES, *(each.nodes / 2 for each in writer.functions)])
    return [writer.digest(each) for each in writer.functions if each.nodes >= fewest]


@dataclass(frozen=True)
class _Function:
    """Where a function stands among the parts that were written."""

    begin: int
    """Of its arguments."""
    body: int
    end: int
    nodes: int
    """Of its body."""


class _Writer:
    """Writes a program node by node, and notes what names it binds and where each function stands."""

    def __init__(self) -> None:
        self.functions: list[_Function] = []
        self._parts: list[str] = []
        self._nodes = 0
        # Where each name is said, and where one is given to something: places among the parts.
        self._said: list[tuple[int, str]] = []
        self._bound: list[tuple[int, str]] = []

    def write(self, node: Any) -> None:
        """Writes a node and all under it."""
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
        """A digest of the function's body, its own names numbered in the order in which they are said."""
        bound = {name for _, name in _between(self._bound, function.begin, function.end)}
        parts, numbers = self._parts[function.body : function.end], dict[str, int]()
        for place, name in _between(self._said, function.body, function.end):
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

    def _say(self, name: str) -> None:
        self._said.append((len(self._parts), name))
        self._parts.append(name)

    def _bind(self, name: str | None) -> None:
        if name is not None:
            self._bound.append((len(self._parts), name))
            self._say(name)

    def _write_name(self, node: ast.Name) -> None:
        self._nodes += 1
        if isinstance(node.ctx, ast.Load):
            self._say(node.id)
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
