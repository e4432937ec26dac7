"""Find the calls of a file's functions: in docstrings, at the top level, and under `if __name__ == "__main__":`."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from preprocess.tracing.module import Module, is_literal
from preprocess.tracing.source import parse

if TYPE_CHECKING:
    import doctest


@dataclass(frozen=True)
class Call:
    """A call of a function of the file."""

    line: int
    function: str
    args: str
    """Source of the arguments; names of literals are replaced by the literals."""
    expected: str | None
    """Literal of the documented return value; None if the file does not state one."""
    names: frozenset[str]
    """Names in the arguments."""


@dataclass(frozen=True)
class Unusable:
    """A function or a call that cannot be used."""

    line: int
    function: str
    reason: str


def find_calls(module: Module) -> Iterator[Call | Unusable]:
    """Find the calls at the top level of a file, including those under `if __name__ == "__main__":`."""
    for statement in _find_simple(module.body):
        yield from _read_statement(statement, module, statement.lineno, {})


def _find_simple(statements: Iterable[ast.AST]) -> Iterator[ast.stmt]:
    """Find the statements without a block, also inside blocks, but not inside definitions."""
    for statement in statements:
        if isinstance(statement, ast.Expr | ast.Assert | ast.Assign | ast.AnnAssign | ast.AugAssign):
            yield statement
        elif not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            blocks = ast.iter_child_nodes(statement)
            yield from _find_simple(each for each in blocks if isinstance(each, ast.stmt | ast.excepthandler | ast.match_case))


def find_examples(node: ast.FunctionDef, module: Module) -> Iterator[Call | Unusable]:
    """Find the `>>>` examples in the docstring of a function."""
    import doctest  # it imports the debugger and unittest

    docstring, start, name = ast.get_docstring(node, clean=False) or "", node.body[0].lineno, node.name
    try:
        examples = doctest.DocTestParser().get_examples(docstring)
    except ValueError as error:
        yield Unusable(start, name, str(error))
        return
    known: dict[str, ast.expr] = {}
    for example in examples:
        line = start + example.lineno
        source = example.source.strip()
        try:
            (statement,) = parse(source).body
        except (SyntaxError, ValueError):
            yield Unusable(line, name, f"example {source[:80]!r} is not one statement")
            continue
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name) and is_literal(statement.value):
            known[statement.targets[0].id] = statement.value
            continue
        if isinstance(statement, ast.Import | ast.ImportFrom):
            continue
        found = list(_read_statement(statement, module, line, known))
        calls = [each for each in found if each.function == name]
        if not calls:
            yield Unusable(line, name, f"example {source[:80]!r} does not call {name}")
            continue
        is_shown = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call) and len(calls) == len(found) == 1
        if is_shown and isinstance(calls[0], Call) and not source.startswith("print("):
            yield _expect(calls[0], example)
        else:
            yield from calls


def _expect(call: Call, example: doctest.Example) -> Call | Unusable:
    text = f"{call.function}({call.args})"
    if example.exc_msg is not None:
        return Unusable(call.line, call.function, f"the example of {text} raises an exception")
    # A shell prints nothing for None.
    expected = example.want.strip() or "None"
    if not is_literal(expected):
        return Unusable(call.line, call.function, f"the value of {text} is not a literal: {expected[:80]}")
    return Call(call.line, call.function, call.args, expected, call.names)


def _read_statement(statement: ast.stmt, module: Module, line: int, known: Mapping[str, ast.expr]) -> Iterator[Call | Unusable]:
    expected = _find_expected(statement)
    for node in ast.walk(statement):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in module.functions:
            yield _read_call(node, node.func.id, module, line, known, expected.get(node))


def _find_expected(statement: ast.stmt) -> dict[ast.expr, str]:
    """Return the values that `assert f(1) == 2` and `f(1) == 2` state."""
    test = statement.test if isinstance(statement, ast.Assert) else statement.value if isinstance(statement, ast.Expr) else None
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq | ast.Is):
        for call, value in ((test.left, test.comparators[0]), (test.comparators[0], test.left)):
            if isinstance(call, ast.Call) and is_literal(value):
                return {call: ast.unparse(value)}
    return {}


def _read_call(
    node: ast.Call, function: str, module: Module, line: int, known: Mapping[str, ast.expr], expected: str | None
) -> Call | Unusable:
    local = {each.arg for each in ast.walk(node) if isinstance(each, ast.arg)}
    local |= {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and not isinstance(each.ctx, ast.Load)}
    literals: dict[str, ast.expr] = {}
    names = set()
    for each in ast.walk(ast.Tuple([*node.args, *[keyword.value for keyword in node.keywords]], ast.Load())):
        if not isinstance(each, ast.Name) or each.id in local:
            continue
        literal = known.get(each.id) or module.find_literal(each.id)
        if literal is not None:
            literals[each.id] = literal
        elif module.defines(each.id):
            names.add(each.id)
        else:
            return Unusable(line, function, f"{ast.unparse(node)[:80]}: `{each.id}` is not a literal")
    call = ast.unparse(_Fill(literals).visit(node))
    return Call(line, function, call[len(function) + 1 : -1], expected, frozenset(names))


class _Fill(ast.NodeTransformer):
    def __init__(self, literals: Mapping[str, ast.expr]) -> None:
        self._literals = literals

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._literals.get(node.id, node) if isinstance(node.ctx, ast.Load) else node
