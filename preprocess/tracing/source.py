"""What a program's source says of its lines: the statements that begin on them, and the variables these may change."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from preprocess.errors import RowError
from preprocess.tracing.inside.instrument import is_silent

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
FILE = "<program>"
"""What programs are called where they are parsed."""
# The parser warns of strings such as '\d'.
warnings.filterwarnings("ignore", module=FILE)


@dataclass
class Scope:
    """A function, or a class in one."""

    number: int
    """The line that it begins on."""
    names: set[str]
    """Its parameters and the variables that it binds."""
    others: set[str] = field(default_factory=set)
    """Names that it says are not its own (`global`, `nonlocal`)."""

    def owns(self, name: str) -> bool:
        """Whether it is a variable of the function's own."""
        return name in self.names and name not in self.others


@dataclass
class Line:
    """A line inside of a function on which a statement begins (or an `except` or `case`)."""

    text: str
    scope: Scope
    changed: tuple[str, ...] = ()
    """Variables that its statements bind, or whose values they may change in place."""
    bound: tuple[str, ...] = ()
    """Those of them that are bound."""
    decorator: str = ""
    """The first line of a decorated definition."""
    is_try: bool = False
    leaves: bool = False
    """Nothing of its function runs after it: `return`, `raise`."""
    pauses: bool = False
    """It has a `yield`: others may run before it is done."""
    may_repeat: bool = False
    """It is in a loop, or the head of one."""
    is_definite: bool = True
    """Whether it is clear how often it has run: not where a loop and its body, or two functions, share it."""


@dataclass(frozen=True)
class Source:
    """A program, read."""

    code: str
    lines: dict[int, Line]
    """By number, counted from 1."""


def read_source(code: str) -> Source:
    """Raises:
    RowError: the program does not parse.
    """
    reader = _Reader(code)
    try:
        reader.read_block(parse(code).body, None)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise RowError(f"the program does not parse: {error}") from error
    return Source(code, reader.lines)


def parse(code: str) -> ast.Module:
    """`ast.parse` without warnings.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: it does not parse.
    """
    tree = compile(code, FILE, "exec", ast.PyCF_ONLY_AST, dont_inherit=True)
    assert isinstance(tree, ast.Module)
    return tree


class _Reader:
    def __init__(self, code: str) -> None:
        self.texts = re.split("\r\n|\r|\n", code)
        self.lines: dict[int, Line] = {}

    def read_block(self, statements: Iterable[ast.stmt], scope: Scope | None, head: int = 0, repeats: bool = False) -> None:
        """The statements of a block; `head` is the line of the loop whose body it is; it may lie in one further out."""
        for statement in statements:
            if scope and isinstance(statement, ast.Global | ast.Nonlocal):
                scope.others.update(statement.names)
            if scope and not is_silent(statement):
                line = self._begin(statement.lineno, statement, scope, repeats)
                if statement.lineno == head:
                    line.is_definite = False
                if isinstance(statement, _SCOPES) and statement.decorator_list:
                    line.decorator = self._text(statement.decorator_list[0].lineno)
            self._read_inside(statement, scope, repeats)

    def _begin(self, number: int, node: ast.AST, scope: Scope, repeats: bool) -> Line:
        line = self.lines.setdefault(number, Line(self._text(number), scope))
        if line.scope is not scope:
            line.is_definite = False
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

    def _text(self, number: int) -> str:
        return self.texts[number - 1].strip()

    def _read_inside(self, statement: ast.stmt, scope: Scope | None, repeats: bool) -> None:
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            parameters = {each.arg for each in ast.walk(statement.args) if isinstance(each, ast.arg)}
            self.read_block(statement.body, Scope(statement.lineno, parameters))
        elif isinstance(statement, ast.ClassDef):
            self.read_block(statement.body, Scope(statement.lineno, set()) if scope else None)
        elif isinstance(statement, ast.For | ast.AsyncFor | ast.While):
            self.read_block(statement.body, scope, statement.lineno, repeats=True)
            self.read_block(statement.orelse, scope, repeats=repeats)
        elif isinstance(statement, ast.Match):
            for case in statement.cases:
                if scope:
                    self._begin(case.pattern.lineno, case, scope, repeats)
                self.read_block(case.body, scope, repeats=repeats)
        else:
            for handler in getattr(statement, "handlers", []):
                if scope:
                    self._begin(handler.lineno, handler, scope, repeats)
                self.read_block(handler.body, scope, repeats=repeats)
            for part in ("body", "orelse", "finalbody"):
                self.read_block(getattr(statement, part, []), scope, repeats=repeats)


def _find_heads(node: ast.AST) -> Iterator[ast.AST]:
    """What runs on a statement's own line: of a compound one, all but its blocks."""
    if isinstance(node, _SCOPES):
        yield from node.decorator_list
        return
    for name, value in ast.iter_fields(node):
        if name in ("body", "orelse", "finalbody", "handlers", "cases"):
            continue
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, ast.AST):
                yield each


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """The node and what is in it, without what has variables of its own."""
    yield node
    if isinstance(node, ast.Lambda):
        return
    for child in ast.iter_child_nodes(node):
        if isinstance(node, ast.comprehension) and child is node.target:
            continue
        yield from _walk(child)


def find_bound(head: ast.AST) -> Iterator[str]:
    """The variables that it binds or deletes."""
    for node in _walk(head):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            yield node.id
        elif isinstance(node, ast.MatchAs | ast.MatchStar) and node.name:
            yield node.name
        elif isinstance(node, ast.MatchMapping) and node.rest:
            yield node.rest


def find_receivers(head: ast.AST) -> Iterator[str]:
    """The variables whose values it may change in place: `a` of `a.append(1)` and `a[0] = 1`."""
    for node in _walk(head):
        is_target = isinstance(node, ast.Subscript | ast.Attribute) and not isinstance(node.ctx, ast.Load)
        if is_target or (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            inner: ast.AST = node.func if isinstance(node, ast.Call) else node
            while isinstance(inner, ast.Subscript | ast.Attribute):
                inner = inner.value
            if isinstance(inner, ast.Name):
                yield inner.id
