"""A Python file as what its functions are taken from: which of its statements a function needs to run alone."""

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
    """Statements of a file that share lines: mostly one."""

    statements: list[ast.stmt]
    start: int
    end: int
    """Its first and its last line."""
    used: frozenset[str] = frozenset()
    """The names that it takes from the file."""
    made: frozenset[str] = frozenset()
    """The names that it gives the file, and those whose values it changes."""

    @property
    def is_definition(self) -> bool:
        """Whether it is a function or a class."""
        return isinstance(self.statements[0], _DEFINITIONS)


class Module:
    """A file that parses.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: it does not.
    """

    def __init__(self, text: str) -> None:
        # As the parser counts them.
        text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
        self.lines = text.split("\n")
        compile(text, FILE, "exec", dont_inherit=True)
        self.body = parse(text).body
        self.parts = _join(each for each in self.body if not is_main_guard(each))
        for part in self.parts:
            part.used = frozenset(_find_used("\n".join(self.lines[part.start - 1 : part.end])))
        self.functions = {each.name: each for each in self.body if isinstance(each, ast.FunctionDef)}
        """By name; of those with one name, the last."""
        self._makers: dict[str, list[Part]] = {}
        for part in self.parts:
            part.made = frozenset(name for statement in part.statements for name in _find_made(statement))
            for name in part.made:
                self._makers.setdefault(name, []).append(part)

    def extract(self, names: Iterable[str], left_out: range) -> str:
        """The statements that make some names and, in turn, what these use, in their order; without some lines."""
        needed = self.find_needed(names)
        return self._write([part for part in self.parts if _is_for_all(part) or not needed.isdisjoint(part.made)], left_out)

    def find_needed(self, names: Iterable[str]) -> set[str]:
        """Some names, those that their statements use, and so on."""
        waiting = [*names, *(name for part in self.parts if _is_for_all(part) for name in part.used)]
        needed: set[str] = set()
        while waiting:
            name = waiting.pop()
            if name not in needed:
                needed.add(name)
                waiting += [used for part in self._makers.get(name, []) for used in part.used]
        return needed

    def find_literal(self, name: str) -> ast.expr | None:
        """What a name stands for, where it is assigned a literal and nothing else happens to it."""
        makers = self._makers.get(name, [])
        statement = makers[0].statements[0] if len(makers) == 1 and len(makers[0].statements) == 1 else None
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1 and isinstance(statement.targets[0], ast.Name):
            return statement.value if is_literal(statement.value) else None
        return None

    def defines(self, name: str) -> bool:
        """Whether a name is that of a function, a class or an import, or is built in."""
        makers = self._makers.get(name, [])
        if not makers:
            return hasattr(builtins, name)
        kinds = (*_DEFINITIONS, ast.Import, ast.ImportFrom)
        return all(isinstance(statement, kinds) for part in makers for statement in part.statements)

    def _write(self, parts: list[Part], left_out: range) -> str:
        text = ""
        for part, before in zip(parts, [None, *parts], strict=False):
            if before:
                text += "\n\n" if part.is_definition or before.is_definition else "\n"
            numbers = [number for number in range(part.start, part.end + 1) if number not in left_out]
            text += "\n".join(self.lines[number - 1] for number in numbers)
        return text


def is_main_guard(statement: ast.stmt) -> bool:
    """`if __name__ == "__main__":`"""
    return isinstance(statement, ast.If) and any(
        isinstance(node, ast.Name) and node.id == "__name__" for node in ast.walk(statement.test)
    )


def is_literal(source: ast.expr | str) -> bool:
    """Whether it is the source of a plain value."""
    try:
        read_source(source) if isinstance(source, str) else read_node(source)
    except NotValueError:
        return False
    return True


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


def _is_for_all(part: Part) -> bool:
    """Imports whose names are not known, or that change how the source is read."""
    return any(
        isinstance(each, ast.ImportFrom) and (each.module == "__future__" or each.names[0].name == "*")
        for each in part.statements
    )


def _find_made(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement binds, or whose values it changes in place (unless it is an import's)."""
    if isinstance(statement, _DEFINITIONS):
        yield statement.name
        return
    if isinstance(statement, ast.Import | ast.ImportFrom):
        for alias in statement.names:
            yield (alias.asname or alias.name).partition(".")[0]
        return
    yield from find_bound(statement)
    if not _only_shows(statement):
        yield from find_receivers(statement)
    for node in ast.walk(statement):
        if isinstance(node, ast.stmt) and node is not statement:
            yield from _find_made(node)


def _only_shows(statement: ast.stmt) -> bool:
    """`assert …` and `print(…)`."""
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        return isinstance(statement.value.func, ast.Name) and statement.value.func.id == "print"
    return isinstance(statement, ast.Assert)


def _find_used(text: str) -> Iterator[str]:
    waiting = [symtable.symtable(text, FILE, "exec")]
    while waiting:
        table = waiting.pop()
        waiting += table.get_children()
        is_top = table.get_type() == "module"
        yield from (each.get_name() for each in table.get_symbols() if (each.is_referenced() if is_top else each.is_global()))
