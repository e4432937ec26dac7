"""Choose the program among the blocks of a response, which often has drafts, parts and usage examples as well."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property

from rewards.parsing.blocks import Block
from rewards.parsing.source_values import parse

_MOST_READ = 40_000
"""Characters to parse, from the end of the response."""
_MOST_BLOCKS = 100
"""Blocks to choose from, from the end of the response."""
_CLASS = "Solution"
"""Graders look up a missing function among the methods of this class."""
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_IMPORTS = (ast.Import, ast.ImportFrom)
_BUILT_IN = frozenset(dir(builtins))
_READING = {"input", "stdin", "fileinput", "open", "read"}
_WRITING = {"print", "stdout", "write", "writelines"}


def choose_program(blocks: Sequence[Block], names: Collection[str]) -> str:
    """Return the program, made of one or more of the blocks.

    Blocks of other languages than Python are left out, unless all are. Of several:

    - With names, the last block that defines them, by `def` or `class` before other ways.
    - Otherwise the last block that runs, reads input and prints; else the last one that runs and reads input together with
      what it needs; else the last one that runs and prints; else the last one that runs; else the last one that parses.
      Blocks marked as Python come before those without a language, which may be an output.

    Earlier blocks that define what the chosen one needs are put before it, and later ones without running code after it.

    Args:
        blocks: At least one.
        names: Functions and classes that the program must define.
    """
    given = [each for each in blocks if each.is_python or not each.language] or blocks
    if len(given) == 1:
        return given[0].text
    pieces: list[_Piece] = []
    left = _MOST_READ
    for block in reversed(given[-_MOST_BLOCKS:]):
        left -= len(block.text)
        pieces.append(_Piece(block.text if left >= 0 else "", block.is_python))
    pieces.reverse()
    chosen = _find_definition(pieces, set(names)) if names else None
    if chosen is None:
        chosen = _find_running(pieces)
    if chosen is None:
        return next((each for each in reversed(given) if each.is_python), given[-1]).text
    return _join([pieces[number].code for number in _find_parts(pieces, chosen, set(names))])


def find_free_names(source: str) -> set[str]:
    """Return the names that a source uses without defining them, except the built-in ones."""
    return _Piece(source).free


class _Piece:
    """A block, parsed as far as needed."""

    def __init__(self, code: str, is_marked: bool = True) -> None:
        self.code, self.is_marked = code, is_marked

    @cached_property
    def body(self) -> list[ast.stmt]:
        """Its statements; empty if it does not parse."""
        return parse(self.code)

    @cached_property
    def defined(self) -> set[str]:
        """Names of its functions and classes, and of the methods of the class that graders search."""
        found = [each for each in _walk_module(self.body) if isinstance(each, _DEFINITIONS)]
        methods = [each for cls in found if isinstance(cls, ast.ClassDef) and cls.name == _CLASS for each in cls.body]
        return {each.name for each in (*found, *methods) if isinstance(each, _DEFINITIONS)}

    @cached_property
    def assigned(self) -> set[str]:
        """Names that its top level assigns, for example a lambda."""
        names = (each for each in _walk_module(self.body) if isinstance(each, ast.Name))
        return {each.id for each in names if not isinstance(each.ctx, ast.Load)}

    @cached_property
    def bound(self) -> set[str]:
        """Names that later blocks can use."""
        imports = (each for each in _walk_module(self.body) if isinstance(each, _IMPORTS))
        imported = {(name.asname or name.name).partition(".")[0] for each in imports for name in each.names}
        return self.defined | self.assigned | imported

    @cached_property
    def words(self) -> set[str]:
        """All names and attributes that it uses."""
        return self._names.loaded | self._names.attributes

    @cached_property
    def free(self) -> set[str]:
        """Names that it uses and does not bind, or not before its top level uses them."""
        early = _find_early(self.body) - (self.bound - self.assigned)
        return ((self._names.loaded - self._names.bound - self.bound) | early) - _BUILT_IN

    @cached_property
    def runs(self) -> bool:
        """Whether it does something besides defining and importing."""
        return any(not isinstance(each, (*_DEFINITIONS, *_IMPORTS)) and not _is_inert(each) for each in self.body)

    @cached_property
    def is_complete(self) -> bool:
        """Whether it reads input, prints and runs by itself."""
        return self.runs and bool(self.words & _READING) and bool(self.words & _WRITING)

    @cached_property
    def _names(self) -> _Names:
        return _Names(self.body)


class _Names:
    """The names in statements, collected in one pass: the text is untrusted, and may be long."""

    def __init__(self, body: Iterable[ast.AST]) -> None:
        self.loaded: set[str] = set()
        self.bound: set[str] = set()
        self.attributes: set[str] = set()
        todo = list(body)
        while todo:
            node = todo.pop()
            if isinstance(node, ast.Name):
                (self.loaded if isinstance(node.ctx, ast.Load) else self.bound).add(node.id)
                continue
            if isinstance(node, ast.Attribute):
                self.attributes.add(node.attr)
            elif isinstance(node, ast.arg):
                self.bound.add(node.arg)
            elif isinstance(node, (*_DEFINITIONS, ast.ExceptHandler)) and node.name:
                self.bound.add(node.name)
            todo += ast.iter_child_nodes(node)


def _find_definition(pieces: Sequence[_Piece], names: set[str]) -> int | None:
    """Return the last block that defines all names, or else some of them."""
    order = range(len(pieces) - 1, -1, -1)
    kinds = [[piece.defined for piece in pieces], [piece.defined | piece.assigned for piece in pieces]]
    for sets in kinds:
        if (found := next((number for number in order if names <= sets[number]), None)) is not None:
            return found
    return next((number for sets in kinds for number in order if names & sets[number]), None)


def _find_running(pieces: Sequence[_Piece]) -> int | None:
    """Return the block that is the program, or None if no block parses."""
    order = [number for number in range(len(pieces) - 1, -1, -1) if pieces[number].body]
    order.sort(key=lambda number: not pieces[number].is_marked)
    running = [number for number in order if pieces[number].runs]
    complete = (number for number in running if pieces[number].is_complete)
    reading = (number for number in running if _reads(pieces, number))
    printing = (number for number in running if pieces[number].words & _WRITING)
    return next((number for group in (complete, reading, printing, running, order) for number in group), None)


def _reads(pieces: Sequence[_Piece], chosen: int) -> bool:
    return any(pieces[number].words & _READING for number in _find_parts(pieces, chosen, set()))


def _find_parts(pieces: Sequence[_Piece], chosen: int, names: set[str]) -> list[int]:
    """Return the numbers of the blocks that a program consists of, in order."""
    parts, missing = [chosen], pieces[chosen].free | (names - pieces[chosen].bound)
    for number in range(chosen - 1, -1, -1):
        # A draft of the whole program would read the input first.
        if _provides(pieces[number], missing) and (names or not pieces[number].is_complete):
            parts.insert(0, number)
            missing = (missing - pieces[number].bound) | pieces[number].free
    for number in range(chosen + 1, len(pieces)):
        if _provides(pieces[number], missing) and not pieces[number].runs:
            parts.append(number)
            missing = (missing - pieces[number].bound) | pieces[number].free
    return parts


def _provides(piece: _Piece, missing: set[str]) -> bool:
    """Check whether a block defines one of the names, or may do so by importing everything from a module."""
    return bool(missing) and ("*" in piece.bound or bool(missing & piece.bound))


def _find_early(body: Sequence[ast.stmt]) -> set[str]:
    """Return the names that assignments at the top level use before any statement binds them."""
    early: set[str] = set()
    bound: set[str] = set()
    for statement in body:
        names = _Names([statement])
        if isinstance(statement, ast.Assign | ast.AugAssign):
            used = names.loaded | names.bound if isinstance(statement, ast.AugAssign) else names.loaded
            early |= used - _Names([statement.value]).bound - bound
        bound |= names.bound
    return early


def _join(codes: Sequence[str]) -> str:
    return codes[0] if len(codes) == 1 else "\n".join(f"{code.rstrip()}\n" for code in codes)


def _walk_module(body: Sequence[ast.stmt]) -> Iterator[ast.AST]:
    """Yield the nodes that run at a module's top level, without the insides of functions, classes and comprehensions."""
    todo: list[ast.AST] = list(body)
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, (*_DEFINITIONS, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
            todo += ast.iter_child_nodes(node)


def _is_inert(statement: ast.stmt) -> bool:
    """Check for a statement without effect: a constant, `Output: 3`, or an expression without a call."""
    if isinstance(statement, ast.AnnAssign):
        return statement.value is None
    if isinstance(statement, ast.Expr):
        return not any(isinstance(each, ast.Call | ast.Await) for each in ast.walk(statement))
    return isinstance(statement, ast.Pass)
