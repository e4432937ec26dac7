"""Puts calls into a program's functions that tell which line begins, without changing what they do.

A tracer of the interpreter's own (`sys.settrace`) sees what the compiler made of the source, which differs from version to
version: comprehensions with and without frames, `with` lines that run twice, lines of constants that never run. What is
told here follows from the source alone: a line begins where a statement on it begins; of a statement that spans lines, its
first. The head of a loop begins each time it is tested or asked for its next item; `elif`, `except` and `case` begin when
they are tried. Lambdas and comprehensions are parts of the statement in which they run.
"""

from __future__ import annotations

import ast
import builtins

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any

globals().update({name: value for name, value in vars(builtins).items() if not name.startswith("_")})

BEGIN, LOOP, END = "__begin_line__", "__loop_line__", "__end_frame__"
"""What the calls are of: (line), (line, items), ()."""

_FUNCTIONS = (ast.FunctionDef, ast.ClassDef)


class NotFollowedError(Exception):
    """The program has what cannot be followed."""


def instrument(source: str) -> CodeType:
    """The program, compiled.

    Raises:
        NotFollowedError: it has asynchronous functions or `except*`.
        SyntaxError, ValueError, RecursionError, MemoryError: it does not compile.
    """
    tree = ast.parse(source)
    for statement in tree.body:
        _visit(statement, inside=False)
    return compile(ast.fix_missing_locations(tree), "<program>", "exec", dont_inherit=True)


def is_silent(statement: ast.stmt) -> bool:
    """Whether it only tells the compiler, or the reader, something."""
    if isinstance(statement, ast.Global | ast.Nonlocal):
        return True
    if isinstance(statement, ast.AnnAssign):
        return statement.value is None
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _block(statements: list[ast.stmt], line: int, inside: bool) -> list[ast.stmt]:
    """The statements of a block with their calls; those that stand on the line that began last get none."""
    made: list[ast.stmt] = []
    for statement in statements:
        # The test of a `while` begins its line, each time.
        if inside and statement.lineno != line and not is_silent(statement) and not isinstance(statement, ast.While):
            made.append(ast.copy_location(ast.Expr(_begin(statement.lineno, statement)), statement))
        line = statement.lineno
        _visit(statement, inside)
        made.append(statement)
    return made


def _visit(statement: ast.stmt, inside: bool) -> None:
    """Changes what lies in a statement. `inside` a function; elsewhere only the functions are looked for."""
    line = statement.lineno
    if isinstance(statement, ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith):
        raise NotFollowedError("asynchronous functions cannot be traced")
    if isinstance(statement, ast.TryStar):
        raise NotFollowedError("except* cannot be traced")
    if isinstance(statement, _FUNCTIONS):
        _visit_body(statement, inside)
    elif isinstance(statement, ast.Try):
        _visit_try(statement, inside)
    elif isinstance(statement, ast.Match):
        _visit_match(statement, inside)
    else:
        if inside and isinstance(statement, ast.While):
            statement.test = _after_begin(line, statement.test)
        elif inside and isinstance(statement, ast.For):
            statement.iter = ast.copy_location(_call(LOOP, statement.iter, ast.Constant(line), statement.iter), statement.iter)
        for name in ("body", "orelse"):
            if getattr(statement, name, None):
                setattr(statement, name, _block(getattr(statement, name), line, inside))


def _visit_body(statement: ast.FunctionDef | ast.ClassDef, inside: bool) -> None:
    if isinstance(statement, ast.ClassDef) and not inside:
        statement.body = _block(statement.body, 0, inside=False)
        return
    start = 1 if ast.get_docstring(statement, clean=False) is not None else 0
    # The body of a class that stands on the class's own line is part of that line; a function's runs another time.
    line = statement.lineno if isinstance(statement, ast.ClassDef) else 0
    rest = _block(statement.body[start:], line, inside=True)
    if rest:
        end = ast.copy_location(ast.Expr(_call(END, statement)), statement.body[-1])
        whole = ast.copy_location(ast.Try(rest, [], [], [end]), rest[0])
        statement.body[start:] = [whole]


def _visit_try(statement: ast.Try, inside: bool) -> None:
    statement.body = _block(statement.body, statement.lineno, inside)
    for handler in statement.handlers:
        handler.body = _block(handler.body, handler.lineno, inside)
        if inside and handler.type is not None:
            handler.type = _after_begin(handler.lineno, handler.type)
        elif inside:
            handler.body.insert(0, ast.copy_location(ast.Expr(_begin(handler.lineno, handler)), handler))
    statement.orelse = _block(statement.orelse, 0, inside)
    statement.finalbody = _block(statement.finalbody, 0, inside)


def _visit_match(statement: ast.Match, inside: bool) -> None:
    cases = []
    for case in statement.cases:
        line = case.pattern.lineno
        case.body = _block(case.body, line, inside)
        if inside:
            # It never matches, for the call returns None.
            anything = ast.copy_location(ast.MatchAs(), case.pattern)
            nothing = ast.copy_location(ast.Pass(), case.pattern)
            cases.append(ast.match_case(anything, _begin(line, case.pattern), [nothing]))
        cases.append(case)
    statement.cases = cases


def _after_begin(line: int, value: ast.expr) -> ast.expr:
    """`begin(line) or value`: the value, for the call returns None."""
    return ast.copy_location(ast.BoolOp(ast.Or(), [_begin(line, value), value]), value)


def _begin(line: int, place: ast.AST) -> ast.Call:
    return _call(BEGIN, place, ast.Constant(line))


def _call(name: str, place: Any, *arguments: ast.expr) -> ast.Call:
    return ast.copy_location(ast.Call(ast.Name(name, ast.Load()), list(arguments), []), place)
