"""`assert call == value`, read as syntax: which call it is, with which arguments, and which value."""

from __future__ import annotations

import ast
import functools
import inspect
from dataclasses import dataclass
from typing import Any

from rewards.parsing.source_values import NotValueError, is_identical, parse, parse_expression, read_node


@dataclass(frozen=True, slots=True)
class Assertion:
    """One comparison of a call with a value."""

    call: ast.Call
    value: Any


@dataclass(frozen=True, slots=True)
class Arguments:
    """What a call passes: plain values."""

    args: tuple[Any, ...]
    kwargs: tuple[tuple[str, Any], ...]


class _Unknown:
    """A default that is no plain value: the same only as itself."""


def read_assertion(line: str) -> Assertion | str:
    """The assertion that a line is, or why it is none.

    It must be one `assert` with one `==` between a call and a value, either way round, and nothing else: no message, no
    second comparison, no other statement on the line.
    """
    body = parse(line)
    if len(body) != 1 or not isinstance(body[0], ast.Assert):
        return "it is not one assertion" if body else "it does not parse"
    statement = body[0]
    test = statement.test
    if statement.msg is not None:
        return "it has a message"
    if not isinstance(test, ast.Compare) or len(test.ops) != 1 or not isinstance(test.ops[0], ast.Eq):
        return "it is not one comparison by =="
    for call, value in ((test.left, test.comparators[0]), (test.comparators[0], test.left)):
        if isinstance(call, ast.Call):
            try:
                return Assertion(call, read_node(value))
            except NotValueError:
                continue
    return "it does not compare a call with a value"


def read_arguments(call: ast.Call) -> Arguments | None:
    """The arguments of a call; None where one of them is no plain value, is unpacked, or is named twice."""
    names = [each.arg for each in call.keywords]
    if None in names or len(set(names)) < len(names):
        return None
    try:
        return Arguments(
            tuple([read_node(each) for each in call.args]),
            tuple([(str(each.arg), read_node(each.value)) for each in call.keywords]),
        )
    except NotValueError:
        return None


def read_call(source: str) -> ast.Call | None:
    """The call that a source is; None where it is none."""
    node = parse_expression(source)
    return node if isinstance(node, ast.Call) else None


def calls_function(call: ast.Call, name: str) -> bool:
    """Whether it calls the function of this name: `f`, or `Solution().f`."""
    if isinstance(call.func, ast.Name):
        return call.func.id == name
    function = parse_expression(name)
    return function is not None and ast.dump(function) == ast.dump(call.func)


def is_same_call(a: ast.Call, b: ast.Call, code: str) -> bool:
    """Whether two calls of one function pass it the same values, by position, by name or by its defaults.

    Args:
        code: the source that defines the function, for the names and defaults of its parameters.
    """
    if [ast.dump(each) for each in (*a.args, *a.keywords)] == [ast.dump(each) for each in (*b.args, *b.keywords)]:
        return True
    one, other = read_arguments(a), read_arguments(b)
    if one is None or other is None:
        return False
    signature = _read_signature(code, ast.unparse(a.func))
    if signature is None or not (one.kwargs or other.kwargs or len(one.args) != len(other.args)):
        return is_identical(one.args, other.args) and is_identical(dict(one.kwargs), dict(other.kwargs))
    bound, wanted = _bind(signature, one), _bind(signature, other)
    return bound is not None and wanted is not None and _is_same_binding(bound, wanted)


def _bind(signature: inspect.Signature, arguments: Arguments) -> dict[str, Any] | None:
    try:
        bound = signature.bind(*arguments.args, **dict(arguments.kwargs))
    except TypeError:
        return None
    bound.apply_defaults()
    return bound.arguments


def _is_same_binding(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return all(a[name] is b[name] if isinstance(a[name], _Unknown) else is_identical(a[name], b[name]) for name in a)


@functools.lru_cache(maxsize=1024)
def _read_signature(code: str, name: str) -> inspect.Signature | None:
    """The parameters of a plain function in a source; None where there is no such function."""
    found = [each for each in parse(code) if isinstance(each, ast.FunctionDef) and each.name == name]
    if not found or found[-1].decorator_list:
        return None
    args = found[-1].args
    positional = [*args.posonlyargs, *args.args]
    defaults: list[ast.expr | None] = [*[None] * (len(positional) - len(args.defaults)), *args.defaults]
    kind = inspect.Parameter
    parameters = [
        kind(each.arg, kind.POSITIONAL_ONLY if each in args.posonlyargs else kind.POSITIONAL_OR_KEYWORD, default=_read(default))
        for each, default in zip(positional, defaults, strict=True)
    ]
    if args.vararg:
        parameters.append(kind(args.vararg.arg, kind.VAR_POSITIONAL))
    for each, default in zip(args.kwonlyargs, args.kw_defaults, strict=True):
        parameters.append(kind(each.arg, kind.KEYWORD_ONLY, default=_read(default)))
    if args.kwarg:
        parameters.append(kind(args.kwarg.arg, kind.VAR_KEYWORD))
    try:
        return inspect.Signature(parameters)
    except ValueError:
        return None


def _read(default: ast.expr | None) -> Any:
    if default is None:
        return inspect.Parameter.empty
    try:
        return read_node(default)
    except NotValueError:
        return _Unknown()
