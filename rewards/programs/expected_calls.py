"""Assertions that say what one call returns, read as syntax: the call goes to the candidate, the rest stays with us."""

from __future__ import annotations

import ast
import math
from dataclasses import dataclass
from typing import Any, Literal

from rewards.programs.candidate import Call
from rewards.programs.comparison import is_accepted

Kind = Literal["accepted", "any order", "==", "!=", "is", "is not", "true", "false", "near", "isclose"]

_OPERATORS: dict[type, Kind] = {ast.Eq: "==", ast.NotEq: "!=", ast.Is: "is", ast.IsNot: "is not"}
_SINGLETONS = (None, True, False)
_MOST_DIGITS = 64
_LONGEST_TEXT = 10_000


class _NotPlain(Exception):  # noqa: N818 (a signal, never seen outside)
    pass


@dataclass(frozen=True)
class Check:
    """What one call must return."""

    kind: Kind
    wanted: Any = None
    relative: float = 0.0
    absolute: float = 0.0
    strict: bool = False
    """For `near`: less than the bound, not equal to it."""
    others: tuple[Any, ...] = ()
    """For `accepted` and `any order`: other values that will do."""

    def describe(self) -> str:
        """What must be returned, for people."""
        said = {"accepted": "", "any order": "in any order ", "==": "", "near": "near ", "isclose": "near "}
        if self.kind in ("true", "false"):
            return f"something {self.kind}"
        return f"{said.get(self.kind, self.kind + ' ')}{self.wanted!r}"

    def accepts(self, value: Any) -> bool:
        """Whether a value of built-in types will do; for assertions as Python decides, exactly."""
        try:
            return self._accepts(value)
        except (TypeError, ValueError, OverflowError, RecursionError):
            return False

    def _accepts(self, value: Any) -> bool:
        if self.kind in ("accepted", "any order"):
            return any(is_accepted(value, each, self.kind == "any order") for each in (self.wanted, *self.others))
        if self.kind == "==":
            return bool(value == self.wanted)
        if self.kind == "!=":
            return bool(value != self.wanted)
        if self.kind == "near":
            distance = abs(value - self.wanted)
            return bool(distance < self.absolute if self.strict else distance <= self.absolute)
        if self.kind == "isclose":
            return math.isclose(value, self.wanted, rel_tol=self.relative, abs_tol=self.absolute)
        if self.kind in ("true", "false"):
            return bool(value) is (self.kind == "true")
        return (value is self.wanted) is (self.kind == "is")


def read_check(line: ast.stmt, function: str) -> tuple[Call, Check] | None:
    """The call of `function` and what is asserted of it; None where the statement is not that plain.

    Plain are `f(…) == value` (`!=`, `is`, `is not`; either way round), `f(…)`, `not f(…)`, `abs(f(…) - value) < bound` and
    `math.isclose(f(…), value)`, where arguments and values are literals or sums and products of them.
    """
    if not isinstance(line, ast.Assert):
        return None
    try:
        return _read(line.test, function)
    except (_NotPlain, ValueError, TypeError, RecursionError, MemoryError, OverflowError, ZeroDivisionError):
        return None


def _read(test: ast.expr, function: str) -> tuple[Call, Check]:
    if _is_call(test, function):
        return _read_call(test), Check("true")
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not) and _is_call(test.operand, function):
        return _read_call(test.operand), Check("false")
    if isinstance(test, ast.Call) and ast.unparse(test.func) in ("math.isclose", "isclose"):
        return _read_isclose(test, function)
    if not (isinstance(test, ast.Compare) and len(test.ops) == 1):
        raise _NotPlain
    left, operator, right = test.left, test.ops[0], test.comparators[0]
    if isinstance(operator, ast.Lt | ast.LtE):
        return _read_near(left, right, isinstance(operator, ast.Lt), function)
    if _is_call(right, function):
        left, right = right, left
    if not _is_call(left, function) or type(operator) not in _OPERATORS:
        raise _NotPlain
    kind, wanted = _OPERATORS[type(operator)], _read_value(right)
    if kind in ("is", "is not") and not any(wanted is each for each in _SINGLETONS):
        raise _NotPlain
    return _read_call(left), Check(kind, wanted)


def _read_near(left: ast.expr, right: ast.expr, strict: bool, function: str) -> tuple[Call, Check]:
    if not (isinstance(left, ast.Call) and isinstance(left.func, ast.Name) and left.func.id == "abs" and len(left.args) == 1):
        raise _NotPlain
    difference = left.args[0]
    if not (isinstance(difference, ast.BinOp) and isinstance(difference.op, ast.Sub)):
        raise _NotPlain
    call, value = difference.left, difference.right
    if _is_call(value, function):
        call, value = value, call
    if not _is_call(call, function):
        raise _NotPlain
    return _read_call(call), Check("near", _read_number(value), absolute=_read_number(right), strict=strict)


def _read_isclose(test: ast.Call, function: str) -> tuple[Call, Check]:
    bounds = {str(each.arg): _read_number(each.value) for each in test.keywords}
    if len(test.args) != 2 or not bounds.keys() <= {"rel_tol", "abs_tol"}:
        raise _NotPlain
    call, value = test.args
    if _is_call(value, function):
        call, value = value, call
    if not _is_call(call, function):
        raise _NotPlain
    check = Check("isclose", _read_number(value), bounds.get("rel_tol", 1e-9), bounds.get("abs_tol", 0.0))
    return _read_call(call), check


def _is_call(node: ast.expr, function: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == function


def _read_call(node: ast.expr) -> Call:
    assert isinstance(node, ast.Call)
    if any(each.arg is None for each in node.keywords):
        raise _NotPlain
    args = tuple(_read_value(each) for each in node.args)
    return Call(args, tuple((str(each.arg), _read_value(each.value)) for each in node.keywords))


def _read_number(node: ast.expr) -> float:
    value = _read_value(node)
    if type(value) not in (int, float):
        raise _NotPlain
    return float(value) if isinstance(value, float) else value


def _read_value(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return _read_sum(node)


def _read_sum(node: ast.expr) -> Any:
    """Sums and products that stay small, also inside of lists and tuples: tests write 2.0 / 3.0 and "ab" + "cd"."""
    if isinstance(node, ast.List):
        return [_read_value(each) for each in node.elts]
    if isinstance(node, ast.Tuple):
        return tuple(_read_value(each) for each in node.elts)
    if not isinstance(node, ast.BinOp):
        raise _NotPlain
    a, b = _read_value(node.left), _read_value(node.right)
    kinds = {type(a), type(b)}
    if kinds == {str} and isinstance(node.op, ast.Add) and len(a) + len(b) < _LONGEST_TEXT:
        return a + b
    if not kinds <= {int, float} or max(len(str(a)), len(str(b))) > _MOST_DIGITS:
        raise _NotPlain
    if isinstance(node.op, ast.Add):
        return a + b
    if isinstance(node.op, ast.Sub):
        return a - b
    if isinstance(node.op, ast.Mult):
        return a * b
    if isinstance(node.op, ast.Div):
        return a / b
    raise _NotPlain
