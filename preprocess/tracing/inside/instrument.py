"""Insert calls into a program's functions that record which line begins, without changing what the program does.

A tracer of the interpreter (`sys.settrace`) sees compiled code, which differs between Python versions: comprehensions with and
without frames, `with` lines that run twice, constant lines that never run. The steps recorded here depend on the source
alone: a line begins where a statement on it begins; a statement over several lines counts as its first line. The head of a
loop begins each time it is tested or asked for its next item; `elif`, `except` and `case` begin when they are tried. Lambdas
and comprehensions are part of the statement in which they run.
"""

from __future__ import annotations

import ast
import builtins

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import CodeType

globals().update({name: value for name, value in vars(builtins).items() if not name.startswith("_")})

BEGIN, LOOP, END = "__begin_line__", "__loop_line__", "__end_frame__"
"""Names of the inserted calls. Their arguments: (line), (line, items), ()."""


class NotFollowedError(Exception):
    """The program has a construct that cannot be traced."""


def instrument(source: str) -> CodeType:
    """Return the compiled program.

    Raises:
        NotFollowedError: it has asynchronous functions or `except*`.
        SyntaxError, ValueError, RecursionError, MemoryError: it does not compile.
    """
    tree = ast.parse(source)
    for statement in tree.body:
        _visit(statement, inside=False)
    return compile(ast.fix_missing_locations(tree), "<program>", "exec", dont_inherit=True)


def is_silent(statement: ast.stmt) -> bool:
    """Return whether the statement does nothing at run time."""
    if isinstance(statement, ast.AnnAssign):
        return statement.value is None
    is_constant = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    return is_constant or isinstance(statement, ast.Global | ast.Nonlocal)


def _block(statements: list[ast.stmt], line: int, inside: bool) -> list[ast.stmt]:
    """Return the statements of a block with their calls; those on the line that began last (`line`) get none."""
    result: list[ast.stmt] = []
    for statement in statements:
        # The line of a `while` begins with each test.
        if inside and statement.lineno != line and not is_silent(statement) and not isinstance(statement, ast.While):
            result.append(ast.Expr(_call(BEGIN, statement.lineno)))
        line = statement.lineno
        _visit(statement, inside)
        result.append(statement)
    return result


def _visit(statement: ast.stmt, inside: bool) -> None:
    """Instrument the blocks of a statement `inside` a function; elsewhere, only the functions in them."""
    line = statement.lineno
    if isinstance(statement, ast.AsyncFunctionDef | ast.AsyncFor | ast.AsyncWith):
        raise NotFollowedError("asynchronous functions cannot be traced")
    if isinstance(statement, ast.TryStar):
        raise NotFollowedError("except* cannot be traced")
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        _visit_body(statement, inside)
    elif isinstance(statement, ast.Try):
        _visit_try(statement, inside)
    elif isinstance(statement, ast.Match):
        _visit_match(statement, inside)
    else:
        if inside and isinstance(statement, ast.While):
            statement.test = _after_begin(line, statement.test)
        elif inside and isinstance(statement, ast.For):
            statement.iter = _call(LOOP, line, statement.iter)
        for name in ("body", "orelse"):
            if getattr(statement, name, None):
                setattr(statement, name, _block(getattr(statement, name), line, inside))


def _visit_body(statement: ast.FunctionDef | ast.ClassDef, inside: bool) -> None:
    if isinstance(statement, ast.ClassDef) and not inside:
        statement.body = _block(statement.body, 0, inside=False)
        return
    start = 1 if ast.get_docstring(statement, clean=False) is not None else 0
    # The body of a class on the line of `class` runs as part of that line; the body of a function does not.
    line = statement.lineno if isinstance(statement, ast.ClassDef) else 0
    rest = _block(statement.body[start:], line, inside=True)
    if rest:
        statement.body[start:] = [ast.Try(rest, [], [], [ast.Expr(_call(END))])]


def _visit_try(statement: ast.Try, inside: bool) -> None:
    statement.body = _block(statement.body, statement.lineno, inside)
    for handler in statement.handlers:
        handler.body = _block(handler.body, handler.lineno, inside)
        if inside and handler.type is not None:
            handler.type = _after_begin(handler.lineno, handler.type)
        elif inside:
            handler.body.insert(0, ast.Expr(_call(BEGIN, handler.lineno)))
    statement.orelse = _block(statement.orelse, 0, inside)
    statement.finalbody = _block(statement.finalbody, 0, inside)


def _visit_match(statement: ast.Match, inside: bool) -> None:
    cases = []
    for case in statement.cases:
        line = case.pattern.lineno
        case.body = _block(case.body, line, inside)
        if inside:
            # This case never matches: the call in its guard returns None.
            cases.append(ast.match_case(ast.MatchAs(), _call(BEGIN, line), [ast.Pass()]))
        cases.append(case)
    statement.cases = cases


def _after_begin(line: int, value: ast.expr) -> ast.expr:
    """Return `begin(line) or value`, which is the value: the call returns None."""
    return ast.BoolOp(ast.Or(), [_call(BEGIN, line), value])


def _call(name: str, *arguments: int | ast.expr) -> ast.Call:
    expressions = [ast.Constant(each) if isinstance(each, int) else each for each in arguments]
    return ast.Call(ast.Name(name, ast.Load()), expressions, [])
