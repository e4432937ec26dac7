"""Leave out what a function's program does with standard input: its tests call the function, and give no input."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from rewards.parsing.source_values import parse

_READERS = frozenset({"input", "stdin", "fileinput"})
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_KEPT = (ast.Import, ast.ImportFrom, ast.Try, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
"""Statements that define something, or handle what reading raises."""
_ACTIONS = (ast.Call, ast.For, ast.comprehension)


def leave_out_driver(code: str) -> str:
    """Return a program without the statements of its top level that read standard input, or use what others read.

    With no input they would fail before the function is called: `print(solve(int(input())))`. Other programs are returned as
    they are.
    """
    if not any(word in code for word in _READERS):
        return code
    body = parse(code)
    left = list(_select(body))
    return code if len(left) == len(body) else ast.unparse(ast.Module(left, []))


def _select(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements to keep."""
    values: set[str] = set()
    functions = set(_READERS)
    for statement in body:
        nodes = list(_walk(statement))
        used = {each.id for each in nodes if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load)}
        used |= {each.attr for each in nodes if isinstance(each, ast.Attribute)}
        if isinstance(statement, _KEPT):
            if isinstance(statement, ast.FunctionDef) and used & functions:
                functions.add(statement.name)
            yield statement
        elif used & values or (used & functions and any(isinstance(each, _ACTIONS) for each in nodes)):
            values |= {each.id for each in nodes if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)}
        else:
            yield statement


def _walk(statement: ast.stmt) -> Iterator[ast.AST]:
    """Yield the nodes of a statement, without those in the functions that it defines, unless it is one."""
    todo: list[ast.AST] = [statement]
    while todo:
        node = todo.pop()
        yield node
        if node is statement or not isinstance(node, _SCOPES):
            todo += ast.iter_child_nodes(node)
