"""Parse assertions about one call: the call is sent to the candidate, and the check stays on the host."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

from rewards.parsing.assertion import Arguments
from rewards.programs.inside.judge.check import Check, Kind
from rewards.reasons import show

_OPERATORS: dict[type, Kind] = {ast.Eq: "==", ast.NotEq: "!=", ast.Is: "is", ast.IsNot: "is not"}
_ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_MOST_DIGITS = 64
_LONGEST_TEXT = 10_000


def describe(check: Check) -> str:
    """Return the condition of a check for messages, shortened."""
    if check.kind in ("true", "false"):
        return f"a {check.kind} value"
    words = {"accepted": "", "==": "", "isclose": "near "}
    rules = check.rules.describe()
    return f"{words.get(check.kind, f'{check.kind} ')}{show(check.expected)}{rules and f' ({rules})'}"


def read_check(line: ast.stmt, function: str) -> tuple[Arguments, Check] | None:
    """Return the arguments of the call of `function` and the check of its value, or None if the statement is not plain.

    Plain statements assert `f(…) == value` (also `!=`, `is`, `is not`; either side), `f(…)`, `not f(…)`,
    `abs(f(…) - value) < bound` or `math.isclose(f(…), value)`. Arguments and values are literals, or sums and products of them.
    """
    if not isinstance(line, ast.Assert):
        return None
    try:
        return _read(line.test, function)
    except (ValueError, TypeError, RecursionError, MemoryError, OverflowError, ZeroDivisionError):
        return None


def _read(test: ast.expr, function: str) -> tuple[Arguments, Check]:
    if _is_call(test, function):
        return _read_call(test, function), Check("true")
    match test:
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return _read_call(operand, function), Check("false")
        case ast.Compare(left=left, ops=[comparison], comparators=[right]) if type(comparison) in _OPERATORS:
            arguments, other = _split(left, right, function)
            kind, expected = _OPERATORS[type(comparison)], _read_value(other)
            if kind in ("==", "!=") or any(expected is each for each in (None, True, False)):
                return arguments, Check(kind, expected)
        case ast.Compare(
            left=ast.Call(func=ast.Name(id="abs"), args=[ast.BinOp(left=left, op=ast.Sub(), right=right)]),
            ops=[ast.Lt() | ast.LtE() as comparison],
            comparators=[bound],
        ):
            arguments, other = _split(left, right, function)
            strict = isinstance(comparison, ast.Lt)
            return arguments, Check("near", _read_number(other), absolute=_read_number(bound), strict=strict)
        case ast.Call(func=func, args=[left, right], keywords=keywords) if ast.unparse(func) in ("math.isclose", "isclose"):
            bounds = {str(each.arg): _read_number(each.value) for each in keywords}
            if bounds.keys() <= {"rel_tol", "abs_tol"}:
                arguments, other = _split(left, right, function)
                relative, absolute = bounds.get("rel_tol", 1e-9), bounds.get("abs_tol", 0.0)
                return arguments, Check("isclose", _read_number(other), relative, absolute)
    raise ValueError


def _split(left: ast.expr, right: ast.expr, function: str) -> tuple[Arguments, ast.expr]:
    """Return the arguments of the call, and the other operand."""
    call, other = (right, left) if _is_call(right, function) else (left, right)
    return _read_call(call, function), other


def _is_call(node: ast.expr, function: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == function


def _read_call(node: ast.expr, function: str) -> Arguments:
    if not (isinstance(node, ast.Call) and _is_call(node, function)) or any(each.arg is None for each in node.keywords):
        raise ValueError
    kwargs = tuple((str(each.arg), _read_value(each.value)) for each in node.keywords)
    return Arguments(tuple(map(_read_value, node.args)), kwargs)


def _read_number(node: ast.expr) -> Any:
    value = _read_value(node)
    if type(value) not in (int, float):
        raise TypeError
    return value


def _read_value(node: ast.expr) -> Any:
    """Return the value of a literal, or of a small sum or product: tests contain 2.0 / 3.0 and "ab" + "cd"."""
    try:
        return ast.literal_eval(node)
    except ValueError:
        pass
    match node:
        case ast.List(elts=items):
            return list(map(_read_value, items))
        case ast.Tuple(elts=items):
            return tuple(map(_read_value, items))
        case ast.BinOp(left=left, op=operation, right=right) if type(operation) in _ARITHMETIC:
            a, b = _read_value(left), _read_value(right)
            kinds = {type(a), type(b)}
            if kinds == {str}:
                is_small = isinstance(operation, ast.Add) and len(a) + len(b) < _LONGEST_TEXT
            else:
                is_small = kinds <= {int, float} and max(len(str(a)), len(str(b))) <= _MOST_DIGITS
            if is_small:
                return _ARITHMETIC[type(operation)](a, b)
    raise ValueError
