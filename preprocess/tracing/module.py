"""Parse a Python file and extract the statements that a function needs to run alone."""

from __future__ import annotations

import ast
import builtins
import symtable
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from preprocess.tracing.source import FILE, find_bound, find_receivers, parse
from rewards.parsing.source_values import NotValueError, read_node, read_source

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass
class Part:
    """Statements of a file that share lines: usually one."""

    statements: list[ast.stmt]
    start: int
    end: int
    """First and last line."""
    uses: frozenset[str] = frozenset()
    """Names of the file that it reads."""
    makes: frozenset[str] = frozenset()
    """Names of the file that it binds, or whose values it changes."""

    @property
    def is_always_needed(self) -> bool:
        """Whether it has a star import, whose names are unknown, or an import from `__future__`."""
        return any(
            isinstance(each, ast.ImportFrom) and (each.module == "__future__" or each.names[0].name == "*")
            for each in self.statements
        )


class Module:
    """A parsed file.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: it does not parse.
    """

    def __init__(self, text: str) -> None:
        # Count lines as the parser does.
        text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
        self.lines = text.split("\n")
        compile(text, FILE, "exec", dont_inherit=True)
        self.body = parse(text).body
        self.functions = {each.name: each for each in self.body if isinstance(each, ast.FunctionDef)}
        """By name; of several functions with one name, the last."""
        self.parts = _join(each for each in self.body if not _is_main_guard(each))
        self._makers: dict[str, list[Part]] = {}
        for part in self.parts:
            part.uses = frozenset(_find_used("\n".join(self.lines[part.start - 1 : part.end])))
            part.makes = frozenset(name for statement in part.statements for name in _find_made(statement))
            for name in part.makes:
                self._makers.setdefault(name, []).append(part)

    def extract(self, names: Iterable[str], skipped: range) -> str:
        """Return the statements that make some names and those these need, in the order of the file, without skipped lines."""
        needed = self.find_needed(names)
        parts = [part for part in self.parts if part.is_always_needed or not needed.isdisjoint(part.makes)]
        text, after_definition = "", False
        for part in parts:
            is_definition = isinstance(part.statements[0], _DEFINITIONS)
            text += "" if part is parts[0] else "\n\n" if is_definition or after_definition else "\n"
            text += "\n".join(self.lines[line - 1] for line in range(part.start, part.end + 1) if line not in skipped)
            after_definition = is_definition
        return text

    def find_needed(self, names: Iterable[str]) -> set[str]:
        """Return the names and all names that their statements use, directly or indirectly."""
        waiting = [*names, *(name for part in self.parts if part.is_always_needed for name in part.uses)]
        needed: set[str] = set()
        while waiting:
            name = waiting.pop()
            if name not in needed:
                needed.add(name)
                waiting += [used for part in self._makers.get(name, []) for used in part.uses]
        return needed

    def find_literal(self, name: str) -> ast.expr | None:
        """Return the literal that a name stands for; None unless its only statement assigns one."""
        match self._makers.get(name, []):
            case [Part(statements=[ast.Assign(targets=[ast.Name()], value=value)])] if is_literal(value):
                return value
        return None

    def defines(self, name: str) -> bool:
        """Return whether a name is a function, a class, an import or a built-in."""
        makers = self._makers.get(name, [])
        if not makers:
            return hasattr(builtins, name)
        kinds = (*_DEFINITIONS, ast.Import, ast.ImportFrom)
        return all(isinstance(statement, kinds) for part in makers for statement in part.statements)


def is_literal(source: ast.expr | str) -> bool:
    """Return whether it is the source of a plain value."""
    try:
        read_source(source) if isinstance(source, str) else read_node(source)
    except NotValueError:
        return False
    return True


def _is_main_guard(statement: ast.stmt) -> bool:
    """Return whether it is `if __name__ == "__main__":`."""
    return isinstance(statement, ast.If) and any(
        isinstance(node, ast.Name) and node.id == "__name__" for node in ast.walk(statement.test)
    )


def _join(statements: Iterable[ast.stmt]) -> list[Part]:
    parts: list[Part] = []
    for statement in statements:
        start = min([statement.lineno, *(each.lineno for each in getattr(statement, "decorator_list", []))])
        end = statement.end_lineno or statement.lineno
        if parts and start <= parts[-1].end:
            parts[-1].statements.append(statement)
            parts[-1].end = end
        else:
            parts.append(Part([statement], start, end))
    return parts


def _find_made(statement: ast.stmt) -> Iterator[str]:
    """Return the names that a statement binds, or whose values it changes in place."""
    if isinstance(statement, _DEFINITIONS):
        yield statement.name
        return
    if isinstance(statement, ast.Import | ast.ImportFrom):
        for alias in statement.names:
            yield (alias.asname or alias.name).partition(".")[0]
        return
    yield from find_bound(statement)
    match statement:
        case ast.Assert() | ast.Expr(value=ast.Call(func=ast.Name(id="print"))):
            pass  # only reads
        case _:
            yield from find_receivers(statement)
    for node in ast.walk(statement):
        if isinstance(node, ast.stmt) and node is not statement:
            yield from _find_made(node)


def _find_used(text: str) -> Iterator[str]:
    waiting = [symtable.symtable(text, FILE, "exec")]
    while waiting:
        table = waiting.pop()
        waiting += table.get_children()
        is_top = table.get_type() == "module"
        yield from (each.get_name() for each in table.get_symbols() if (each.is_referenced() if is_top else each.is_global()))
