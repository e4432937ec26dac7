"""Read from a program's source which statements start on each line and which variables they may change."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from preprocess.errors import RowError
from preprocess.tracing.inside.instrument import is_silent

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_BLOCKS = ("body", "orelse", "finalbody")
FILE = "<program>"
"""File name of programs when they are parsed."""
# The parser warns about strings such as '\d'.
warnings.filterwarnings("ignore", module=FILE)


@dataclass
class Scope:
    """A function, or a class inside a function."""

    number: int
    """Its first line."""
    names: set[str]
    """Its parameters and the variables that it binds."""
    others: set[str] = field(default_factory=set)
    """Names that it declares `global` or `nonlocal`."""


@dataclass
class Line:
    """A line inside a function on which a statement, an `except` or a `case` starts."""

    text: str
    scope: Scope
    changed: tuple[str, ...] = ()
    """Variables that its statements bind, or whose values they may change in place."""
    bound: tuple[str, ...] = ()
    """Variables that its statements bind."""
    decorator: str = ""
    """The first line of a decorated definition."""
    is_try: bool = False
    leaves: bool = False
    """Whether it ends its function: `return`, `raise`."""
    pauses: bool = False
    """Whether it has a `yield`: other lines may run before it is done."""
    may_repeat: bool = False
    """Whether it is in a loop, or is the head of one."""
    is_definite: bool = True
    """Whether its runs can be counted: false if a loop and its body, or two functions, share the line."""


def read_lines(code: str) -> dict[int, Line]:
    """Return the lines of a program by their numbers, counted from 1.

    Raises:
        RowError: the program does not parse.
    """
    reader = _Reader(code)
    try:
        reader.read_block(parse(code).body, None)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise RowError(f"the program does not parse: {error}") from error
    return reader.lines


def parse(code: str) -> ast.Module:
    """Run `ast.parse` without warnings.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: the code does not parse.
    """
    tree = compile(code, FILE, "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
    assert isinstance(tree, ast.Module)
    return tree


class _Reader:
    def __init__(self, code: str) -> None:
        self.texts = ["", *(text.strip() for text in re.split("\r\n|\r|\n", code))]
        self.lines: dict[int, Line] = {}

    def read_block(self, statements: Iterable[ast.stmt], scope: Scope | None, head: int = 0, repeats: bool = False) -> None:
        """Read the statements of a block: `head` is the line of its loop, `repeats` whether it is in any loop."""
        for statement in statements:
            if scope and isinstance(statement, ast.Global | ast.Nonlocal):
                scope.others.update(statement.names)
            if scope and not is_silent(statement):
                line = self._begin(statement.lineno, statement, scope, repeats)
                line.is_definite &= statement.lineno != head
                if isinstance(statement, _SCOPES) and statement.decorator_list:
                    line.decorator = self.texts[statement.decorator_list[0].lineno]
            self._read_inside(statement, scope, repeats)

    def _begin(self, number: int, node: ast.AST, scope: Scope, repeats: bool) -> Line:
        line = self.lines.setdefault(number, Line(self.texts[number], scope))
        line.is_definite &= line.scope is scope
        heads = list(_find_heads(node))
        bound = tuple(dict.fromkeys(name for head in heads for name in find_bound(head)))
        scope.names.update(bound)
        line.bound += bound
        line.changed += (*bound, *dict.fromkeys(name for head in heads for name in find_receivers(head)))
        line.is_try |= isinstance(node, ast.Try)
        line.leaves |= isinstance(node, ast.Return | ast.Raise)
        line.pauses |= any(isinstance(each, ast.Yield | ast.YieldFrom) for head in heads for each in _walk(head))
        line.may_repeat |= repeats or isinstance(node, ast.For | ast.While)
        return line

    def _read_inside(self, statement: ast.stmt, scope: Scope | None, repeats: bool) -> None:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            parameters = {each.arg for each in ast.walk(statement.args) if isinstance(each, ast.arg)}
            self.read_block(statement.body, Scope(statement.lineno, parameters))
        elif isinstance(statement, ast.ClassDef):
            self.read_block(statement.body, Scope(statement.lineno, set()) if scope else None)
        elif isinstance(statement, ast.For | ast.AsyncFor | ast.While):
            self.read_block(statement.body, scope, statement.lineno, repeats=True)
            self.read_block(statement.orelse, scope, repeats=repeats)
        else:
            for part in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
                if scope:
                    self._begin(getattr(part, "pattern", part).lineno, part, scope, repeats)
                self.read_block(part.body, scope, repeats=repeats)
            for name in _BLOCKS:
                self.read_block(getattr(statement, name, ()), scope, repeats=repeats)


def _find_heads(node: ast.AST) -> Iterator[ast.AST]:
    """Return what runs on a statement's own line: all of it except its blocks."""
    if isinstance(node, _SCOPES):
        yield from node.decorator_list
        return
    for name, value in ast.iter_fields(node):
        if name not in (*_BLOCKS, "handlers", "cases"):
            yield from (each for each in (value if isinstance(value, list) else [value]) if isinstance(each, ast.AST))


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """Walk a node, but skip lambdas and the targets of comprehensions, which have variables of their own."""
    yield node
    if not isinstance(node, ast.Lambda):
        for child in ast.iter_child_nodes(node):
            if not (isinstance(node, ast.comprehension) and child is node.target):
                yield from _walk(child)


def find_bound(head: ast.AST) -> Iterator[str]:
    """Return the variables that a node binds or deletes."""
    for node in _walk(head):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.MatchAs | ast.MatchStar) and node.name:
            yield node.name
        elif isinstance(node, ast.MatchMapping) and node.rest:
            yield node.rest


def find_receivers(head: ast.AST) -> Iterator[str]:
    """Return the variables whose values a node may change in place: `a` of `a.append(1)` and `a[0] = 1`."""
    for node in _walk(head):
        is_target = isinstance(node, ast.Subscript | ast.Attribute) and not isinstance(node.ctx, ast.Load)
        if is_target or (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            inner: ast.AST = node.func if isinstance(node, ast.Call) else node
            while isinstance(inner, ast.Subscript | ast.Attribute):
                inner = inner.value
            if isinstance(inner, ast.Name):
                yield inner.id
