"""Parse assertions about one call: the call is sent to the candidate, and the check stays on the host."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from rewards.parsing.assertion import Arguments
from rewards.programs.comparison import is_accepted

Kind = Literal["accepted", "any order", "==", "!=", "is", "is not", "true", "false", "near", "isclose"]

_OPERATORS: dict[type, Kind] = {ast.Eq: "==", ast.NotEq: "!=", ast.Is: "is", ast.IsNot: "is not"}
_COMPARE = {"==": operator.eq, "!=": operator.ne, "is": operator.is_, "is not": operator.is_not}
_ARITHMETIC: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_MOST_DIGITS = 64
_LONGEST_TEXT = 10_000


class _NotPlain(Exception):  # noqa: N818 (caught in this module)
    pass


@dataclass(frozen=True)
class Check:
    """The condition on the value of one call."""

    kind: Kind
    expected: Any = None
    relative: float = 0.0
    absolute: float = 0.0
    strict: bool = False
    """For `near`: below the bound, not equal to it."""
    alternatives: tuple[Any, ...] = ()
    """For `accepted` and `any order`: further accepted values."""

    def describe(self) -> str:
        """Return the condition for messages."""
        if self.kind in ("true", "false"):
            return f"a {self.kind} value"
        words = {"accepted": "", "any order": "in any order ", "==": "", "isclose": "near "}
        return f"{words.get(self.kind, f'{self.kind} ')}{self.expected!r}"

    def accepts(self, value: Any) -> bool:
        """Check a value of built-in types, for assertions exactly as Python does."""
        try:
            return self._accepts(value)
        except (TypeError, ValueError, OverflowError, RecursionError):
            return False

    def _accepts(self, value: Any) -> bool:
        if self.kind in ("accepted", "any order"):
            return any(is_accepted(value, each, self.kind == "any order") for each in (self.expected, *self.alternatives))
        if self.kind == "near":
            distance = abs(value - self.expected)
            return bool(distance < self.absolute if self.strict else distance <= self.absolute)
        if self.kind == "isclose":
            return math.isclose(value, self.expected, rel_tol=self.relative, abs_tol=self.absolute)
        if self.kind in ("true", "false"):
            return bool(value) is (self.kind == "true")
        return bool(_COMPARE[self.kind](value, self.expected))


def read_check(line: ast.stmt, function: str) -> tuple[Arguments, Check] | None:
    """Return the arguments of the call of `function` and the check of its value, or None if the statement is not plain.

    Plain statements assert `f(…) == value` (also `!=`, `is`, `is not`; either side), `f(…)`, `not f(…)`,
    `abs(f(…) - value) < bound` or `math.isclose(f(…), value)`. Arguments and values are literals, or sums and products of them.
    """
    if not isinstance(line, ast.Assert):
        return None
    try:
        return _read(line.test, function)
    except (_NotPlain, ValueError, TypeError, RecursionError, MemoryError, OverflowError, ZeroDivisionError):
        return None


def _read(test: ast.expr, function: str) -> tuple[Arguments, Check]:
    if _is_call(test, function):
        return _read_call(test, function), Check("true")
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return _read_call(test.operand, function), Check("false")
    if isinstance(test, ast.Call) and ast.unparse(test.func) in ("math.isclose", "isclose"):
        return _read_isclose(test, function)
    if not (isinstance(test, ast.Compare) and len(test.ops) == 1):
        raise _NotPlain
    left, compare, right = test.left, test.ops[0], test.comparators[0]
    if isinstance(compare, ast.Lt | ast.LtE):
        return _read_near(left, right, isinstance(compare, ast.Lt), function)
    if type(compare) not in _OPERATORS:
        raise _NotPlain
    kind = _OPERATORS[type(compare)]
    arguments, other = _split(left, right, function)
    expected = _read_value(other)
    if kind in ("is", "is not") and not any(expected is each for each in (None, True, False)):
        raise _NotPlain
    return arguments, Check(kind, expected)


def _read_near(left: ast.expr, right: ast.expr, strict: bool, function: str) -> tuple[Arguments, Check]:
    if not (isinstance(left, ast.Call) and isinstance(left.func, ast.Name) and left.func.id == "abs" and len(left.args) == 1):
        raise _NotPlain
    difference = left.args[0]
    if not (isinstance(difference, ast.BinOp) and isinstance(difference.op, ast.Sub)):
        raise _NotPlain
    arguments, value = _split(difference.left, difference.right, function)
    return arguments, Check("near", _read_number(value), absolute=_read_number(right), strict=strict)


def _read_isclose(test: ast.Call, function: str) -> tuple[Arguments, Check]:
    bounds = {str(each.arg): _read_number(each.value) for each in test.keywords}
    if len(test.args) != 2 or not bounds.keys() <= {"rel_tol", "abs_tol"}:
        raise _NotPlain
    arguments, value = _split(test.args[0], test.args[1], function)
    return arguments, Check("isclose", _read_number(value), bounds.get("rel_tol", 1e-9), bounds.get("abs_tol", 0.0))


def _split(left: ast.expr, right: ast.expr, function: str) -> tuple[Arguments, ast.expr]:
    """Return the arguments of the call, and the other operand."""
    call, value = (right, left) if _is_call(right, function) else (left, right)
    return _read_call(call, function), value


def _is_call(node: ast.expr, function: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == function


def _read_call(node: ast.expr, function: str) -> Arguments:
    if not (isinstance(node, ast.Call) and _is_call(node, function)) or any(each.arg is None for each in node.keywords):
        raise _NotPlain
    kwargs = tuple((str(each.arg), _read_value(each.value)) for each in node.keywords)
    return Arguments(tuple(_read_value(each) for each in node.args), kwargs)


def _read_number(node: ast.expr) -> Any:
    value = _read_value(node)
    if type(value) not in (int, float):
        raise _NotPlain
    return value


def _read_value(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return _read_arithmetic(node)


def _read_arithmetic(node: ast.expr) -> Any:
    """Evaluate small sums and products, also in lists and tuples: tests contain 2.0 / 3.0 and "ab" + "cd"."""
    if isinstance(node, ast.List):
        return [_read_value(each) for each in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(_read_value(each) for each in node.elts)
    if not isinstance(node, ast.BinOp) or type(node.op) not in _ARITHMETIC:
        raise _NotPlain
    a, b = _read_value(node.left), _read_value(node.right)
    kinds = {type(a), type(b)}
    if kinds == {str}:
        is_small = isinstance(node.op, ast.Add) and len(a) + len(b) < _LONGEST_TEXT
    else:
        is_small = kinds <= {int, float} and max(len(str(a)), len(str(b))) <= _MOST_DIGITS
    if not is_small:
        raise _NotPlain
    return _ARITHMETIC[type(node.op)](a, b)
