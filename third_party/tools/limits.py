"""Read the values that source code allows, without importing it: checks, registries, literals and comparisons."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

Limits = dict[str, Any]
"""`enum`, and `minimum`, `exclusiveMinimum`, `maximum`, `exclusiveMaximum` as in JSON Schema."""

_NEGATED = {ast.Lt: ast.GtE, ast.LtE: ast.Gt, ast.Gt: ast.LtE, ast.GtE: ast.Lt, ast.NotIn: ast.In, ast.NotEq: ast.Eq}
_MIRRORED = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE}
_BOUNDS = {ast.Gt: "exclusiveMinimum", ast.GtE: "minimum", ast.Lt: "exclusiveMaximum", ast.LtE: "maximum"}
_FIELD_BOUNDS = {"gt": "exclusiveMinimum", "ge": "minimum", "lt": "exclusiveMaximum", "le": "maximum"}


class SourceChangedError(Exception):
    """The source does not have what its rule reads: the rule must be reviewed."""


@cache
def tree(file: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse(file.read_text(encoding="utf-8"))


def checked(body: list[ast.stmt], constants: Mapping[str, Any] | None = None) -> dict[str, Limits]:
    """Return what the checks of a function demand of each argument or attribute of `self`.

    Checks are `assert TEST` and `if TEST: raise`, also below `if self.x is not None` and in loops over a list. Checks that
    depend on another value are left out.
    """
    found: dict[str, Limits] = {}
    known = dict(constants or {})
    for statement in body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            known[statement.targets[0].id] = texts(statement.value)
        for name, limits in _checks(statement, known):
            found[name] = found.get(name, {}) | limits
    return found


def _checks(statement: ast.stmt, known: Mapping[str, Any]) -> Iterator[tuple[str, Limits]]:
    if isinstance(statement, ast.Assert):
        yield from _demanded(statement.test, known, holds=True)
    elif isinstance(statement, ast.If) and not statement.orelse:
        if any(isinstance(each, ast.Raise) for each in statement.body):
            yield from _demanded(statement.test, known, holds=False)
        elif guarded := _guarded(statement.test):
            yield from (pair for each in statement.body for pair in _checks(each, known) if pair[0] == guarded)
    elif isinstance(statement, ast.For) and isinstance(statement.target, ast.Name):
        yield from _checks_of_loop(statement, statement.target.id, known)


def _checks_of_loop(loop: ast.For, item: str, known: Mapping[str, Any]) -> Iterator[tuple[str, Limits]]:
    """Read `for item in self.list: assert item in [...]` and `for name in (...): value = getattr(self, name); assert ...`."""
    inner = [pair for each in loop.body for pair in _checks(each, known)]
    if whole := _subject(loop.iter):
        yield from ((whole, limits) for name, limits in inner if name == item)
    for name in texts(loop.iter):
        yield from ((str(name), limits) for value, limits in inner if value == _value_of(loop.body, item))


def _value_of(body: list[ast.stmt], item: str) -> str | None:
    """Return the variable that is assigned `getattr(self, item)`."""
    for each in body:
        if not isinstance(each, ast.Assign) or not isinstance(each.value, ast.Call) or _last(each.value.func) != "getattr":
            continue
        if _last(each.value.args[1]) == item and isinstance(each.targets[0], ast.Name):
            return each.targets[0].id
    return None


def _demanded(test: ast.expr, known: Mapping[str, Any], *, holds: bool) -> Iterator[tuple[str, Limits]]:
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        yield from _demanded(test.operand, known, holds=not holds)
    elif isinstance(test, ast.BoolOp):
        parts = [each for each in test.values if not _guards(each, test.values)]
        if isinstance(test.op, ast.And) is holds or len(parts) == 1:
            for each in parts:
                yield from _demanded(each, known, holds=holds)
        elif not holds and all(_attribute(each) for each in parts):
            yield parts[0].attr, {"excludes": [each.attr for each in parts[1:] if isinstance(each, ast.Attribute)]}  # type: ignore[attr-defined]
    elif isinstance(test, ast.Compare) and (holds or len(test.ops) == 1):
        left = test.left
        for operator, right in zip(test.ops, test.comparators, strict=True):
            yield from _compared(left, type(operator), right, known, holds=holds)
            left = right


def _compared(
    left: ast.expr, operator: type[ast.cmpop], right: ast.expr, known: Mapping[str, Any], *, holds: bool
) -> Iterator[tuple[str, Limits]]:
    if not holds and operator not in _NEGATED:
        return
    operator = operator if holds else _NEGATED[operator]
    if _number(left) is not None and operator in _MIRRORED:
        left, operator, right = right, _MIRRORED[operator], left
    name, number = _subject(left), _number(right)
    if name is None:
        return
    if operator in _BOUNDS and number is not None:
        yield name, {_BOUNDS[operator]: number}
    elif operator in (ast.In, ast.Eq):
        values = known.get(right.id, []) if isinstance(right, ast.Name) else texts(right)
        if values:
            yield name, {"enum": [each for each in values if each is not None]}


def _guarded(test: ast.expr) -> str | None:
    """Return the subject of `x is not None` and of `isinstance(x, ...)`."""
    if isinstance(test, ast.Call) and _last(test.func) == "isinstance":
        return _subject(test.args[0])
    if isinstance(test, ast.Compare) and isinstance(test.ops[0], ast.IsNot) and ast.unparse(test.comparators[0]) == "None":
        return _subject(test.left)
    return None


def _guards(test: ast.expr, others: list[ast.expr]) -> bool:
    """Return whether a part of a condition only guards a comparison of the same subject in another part."""
    name = _guarded(test)
    words = (ast.unparse(each).replace(".", " ").split() for each in others if each is not test)
    return name is not None and any(name in each for each in words)


def _attribute(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"


def _subject(node: ast.expr) -> str | None:
    """Return the argument or attribute of `self` that an expression is: `self.x`, `x`, `str(x)`, `x[0]`."""
    if isinstance(node, ast.Call) and _last(node.func) == "str" and node.args:
        return _subject(node.args[0])
    if isinstance(node, ast.Subscript):
        return _subject(node.value)
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) and _attribute(node) else None


def _number(node: ast.expr) -> float | None:
    try:
        value = ast.literal_eval(node)
    except ValueError:
        return None
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def texts(node: ast.expr | None) -> list[Any]:
    """Return the literals of a value, a list, a set, the keys of a mapping, or `Literal[...]`; others are left out."""
    if isinstance(node, ast.Subscript) and _last(node.value) == "Literal":
        node = node.slice
    if isinstance(node, ast.Dict):
        items = [key for key in node.keys if key is not None]
    elif isinstance(node, ast.List | ast.Tuple | ast.Set):
        items = list(node.elts)
    else:
        items = [node] if node is not None else []
    values = []
    for item in items:
        try:
            values.append(ast.literal_eval(item))
        except ValueError:
            continue
    return values


def assigned(file: Path, name: str) -> list[Any]:
    """Return the literals that a name is assigned in a file."""
    for node in ast.walk(tree(file)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        if any(_last(target) == name for target in targets) and (values := texts(getattr(node, "value", None))):
            return values
    raise SourceChangedError(f"{file} does not assign {name}")


def registered(files: list[Path], function: str, keyword: str | None = None) -> list[Any]:
    """Return the names in the calls of a function or decorator: its first argument, or a keyword's."""
    found: dict[Any, None] = {}
    for file in files:
        for node in ast.walk(tree(file)):
            if not isinstance(node, ast.Call) or not f".{ast.unparse(node.func)}".endswith(f".{function}"):
                continue
            named = [each.value for each in node.keywords if each.arg == keyword]
            for given in named if keyword else node.args[:1]:
                found |= dict.fromkeys(each for each in texts(given) if isinstance(each, str))
    if not found:
        raise SourceChangedError(f"no call of {function} found")
    return list(found)


def compared(file: Path, function: str, subject: str) -> list[Any]:
    """Return the literals that a variable, attribute or key is compared with in a function or class."""
    found: dict[Any, None] = {}
    for scope in ast.walk(tree(file)):
        if not isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) or scope.name != function:
            continue
        for node in ast.walk(scope):
            if isinstance(node, ast.Compare) and len(node.ops) == 1:
                for one, other in ((node.left, node.comparators[0]), (node.comparators[0], node.left)):
                    if _tail(one) == subject:
                        found |= dict.fromkeys(each for each in texts(other) if each is not None)
    if not found:
        raise SourceChangedError(f"{file}: {function} does not compare {subject}")
    return list(found)


def _tail(node: ast.expr) -> str:
    if isinstance(node, ast.Call) and _last(node.func) == "get" and node.args:
        return str(ast.literal_eval(node.args[0])) if isinstance(node.args[0], ast.Constant) else ""
    return _last(node)


def assigned_names(file: Path, name: str) -> dict[str, str]:
    """Return the mapping of names that a name is assigned at the top of a file: `{Kind.ONE: make_one}` is ONE -> make_one."""
    for node in tree(file).body:
        if isinstance(node, ast.Assign) and _last(node.targets[0]) == name and isinstance(node.value, ast.Dict):
            return {_last(key): _last(value) for key, value in zip(node.value.keys, node.value.values, strict=True) if key}
    raise SourceChangedError(f"{file} does not assign {name} a mapping")


def enumeration(file: Path, name: str) -> list[str]:
    """Return the values of an enumeration class."""
    return list(members(file, name).values())


def members(file: Path, name: str) -> dict[str, str]:
    """Return the members of an enumeration class and their values."""
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.ClassDef) and node.name == name:
            assignments = [each for each in node.body if isinstance(each, ast.Assign)]
            return {_last(each.targets[0]): value for each in assignments for value in texts(each.value)}
    raise SourceChangedError(f"{file} has no class {name}")


def field_bounds(file: Path, cls: str, name: str) -> Limits:
    """Return the bounds in `name: type = Field(ge=..., le=...)`."""
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.ClassDef) and node.name == cls:
            for each in node.body:
                if isinstance(each, ast.AnnAssign) and _last(each.target) == name and isinstance(each.value, ast.Call):
                    given = {one.arg: _number(one.value) for one in each.value.keywords if one.arg in _FIELD_BOUNDS}
                    return {_FIELD_BOUNDS[str(key)]: value for key, value in given.items()}
    raise SourceChangedError(f"{file}: {cls} has no bounds of {name}")


def fields(file: Path, cls: str) -> list[str]:
    """Return the names of the annotated fields of a class."""
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.ClassDef) and node.name == cls:
            return [
                each.target.id for each in node.body if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
            ]
    raise SourceChangedError(f"{file} has no class {cls}")


def arguments(file: Path, function: str) -> list[str]:
    """Return the names of the arguments of a function at the top of a file."""
    return [each.arg for each in (*_signature(file, function).args, *_signature(file, function).kwonlyargs)]


def takes_any(file: Path, function: str) -> bool:
    """Return whether a function at the top of a file takes `**` any arguments."""
    return _signature(file, function).kwarg is not None


def _signature(file: Path, function: str) -> ast.arguments:
    for node in tree(file).body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            return node.args
    raise SourceChangedError(f"{file} has no function {function}")


def argument_bounds(file: Path, cls: str, function: str, name: str) -> Limits:
    """Return what the checks of a method demand of an argument or attribute."""
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.ClassDef) and node.name == cls:
            for each in node.body:
                if isinstance(each, ast.FunctionDef) and each.name == function and name in (found := checked(each.body)):
                    return found[name]
    raise SourceChangedError(f"{file}: {cls}.{function} does not check {name}")


def stated(file: Path, line: str, limits: Limits) -> Limits:
    """Return limits that a line of the source implies; the line must be there."""
    if line not in file.read_text(encoding="utf-8"):
        raise SourceChangedError(f"{file} has no line {line!r}")
    return limits
