"""Parse `assert call == value` into the call, its arguments and the value."""

from __future__ import annotations

import ast
import functools
import inspect
import re
from dataclasses import dataclass
from typing import Any

from rewards.parsing.source_values import NotValueError, is_identical, parse, parse_expression, read_node

_ASSERT = re.compile(r"assert\b")


@dataclass(frozen=True, slots=True)
class Arguments:
    """The arguments of a call: plain Python values."""

    args: tuple[Any, ...] = ()
    kwargs: tuple[tuple[str, Any], ...] = ()


def read_assertion(line: str) -> tuple[ast.Call, Any] | str:
    """Return the call and the value of an assertion, or the reason why the line is not one.

    The line must be a single `assert` with one `==` between a call and a value, on either side. A message, a second
    comparison or another statement is an error.
    """
    body = parse(line)
    return _read_assertion(body) if body else "it does not parse"


def read_last_assertion(text: str) -> tuple[ast.Call, Any] | str:
    """Return the call and the value of the one assertion that ends a program, or the reason why it does not end with one.

    If the text is not a program, because it has prose or parts of a program around, its only line that begins with `assert`
    counts.
    """
    body = parse(text)
    if not body:
        lines = text.strip().split("\n")
        starts = [number for number, line in enumerate(lines) if _ASSERT.match(line)]
        if len(starts) != 1:
            return f"it has {len(starts) or 'no'} assertions, expected one" if len(lines) > 1 else "it does not parse"
        body = parse("\n".join(lines[starts[0] :])) or parse(lines[starts[0]])
        if not body:
            return "it does not parse"
    count = sum(isinstance(each, ast.Assert) for each in body)
    if count > 1:
        return f"it has {count} assertions, expected one"
    return _read_assertion(body[-1:] if count else body)


def _read_assertion(body: list[ast.stmt]) -> tuple[ast.Call, Any] | str:
    match body:
        case [ast.Assert(test=ast.Compare(left=left, ops=[ast.Eq()], comparators=[right]), msg=None)]:
            for call, value in ((left, right), (right, left)):
                if isinstance(call, ast.Call):
                    try:
                        return call, read_node(value)
                    except NotValueError:
                        continue
            return "it does not compare a call with a value"
        case [ast.Assert(msg=message)]:
            return "it has a message" if message else "it is not one comparison by =="
    return "it is not one assertion"


def read_arguments(call: ast.Call) -> Arguments | None:
    """Return the arguments of a call, or None if one is not a plain value, is unpacked, or is named twice."""
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
    """Return the source as a call, or None if it is not one."""
    node = parse_expression(source)
    return node if isinstance(node, ast.Call) else None


def calls_function(call: ast.Call, name: str) -> bool:
    """Check that the call is of this function: `f` or `Solution().f`."""
    if isinstance(call.func, ast.Name):
        return call.func.id == name
    function = parse_expression(name)
    return function is not None and ast.dump(function) == ast.dump(call.func)


def is_same_call(a: ast.Call, b: ast.Call, code: str) -> bool:
    """Check that two calls of a function pass the same values, by position, by name or by default.

    Args:
        code: Source that defines the function, for the names and defaults of its parameters.
    """
    if [ast.dump(each) for each in (*a.args, *a.keywords)] == [ast.dump(each) for each in (*b.args, *b.keywords)]:
        return True
    one, other = read_arguments(a), read_arguments(b)
    if one is None or other is None:
        return False
    signature = _read_signature(code, ast.unparse(a.func))
    if signature is None or not (one.kwargs or other.kwargs or len(one.args) != len(other.args)):
        return is_identical(one.args, other.args) and is_identical(dict(one.kwargs), dict(other.kwargs))
    try:
        bound, expected = (signature.bind(*each.args, **dict(each.kwargs)) for each in (one, other))
    except TypeError:
        return False
    bound.apply_defaults()
    expected.apply_defaults()
    return all(is_identical(bound.arguments[name], value) for name, value in expected.arguments.items())


@functools.lru_cache(maxsize=1024)
def _read_signature(code: str, name: str) -> inspect.Signature | None:
    """Return the parameters of an undecorated function in a source, or None if it is missing."""
    found = [each for each in parse(code) if isinstance(each, ast.FunctionDef) and each.name == name]
    if not found or found[-1].decorator_list:
        return None
    args, kind = found[-1].args, inspect.Parameter
    positional: list[tuple[ast.arg, Any]] = [(each, kind.POSITIONAL_ONLY) for each in args.posonlyargs]
    positional += [(each, kind.POSITIONAL_OR_KEYWORD) for each in args.args]
    defaults = [*[None] * (len(positional) - len(args.defaults)), *args.defaults]
    parameters = [
        *((each, how, default) for (each, how), default in zip(positional, defaults, strict=True)),
        (args.vararg, kind.VAR_POSITIONAL, None),
        *((each, kind.KEYWORD_ONLY, default) for each, default in zip(args.kwonlyargs, args.kw_defaults, strict=True)),
        (args.kwarg, kind.VAR_KEYWORD, None),
    ]
    try:
        return inspect.Signature([kind(arg.arg, how, default=_read_default(value)) for arg, how, value in parameters if arg])
    except ValueError:
        return None


def _read_default(default: ast.expr | None) -> Any:
    if default is None:
        return inspect.Parameter.empty
    try:
        return read_node(default)
    except NotValueError:
        return object()  # equal only to itself
