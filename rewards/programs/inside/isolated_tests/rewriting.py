"""Rewrite what tests ask about identity and types, which Python answers from the proxy instead of the candidate's object."""

from __future__ import annotations

import ast
import importlib
import sys
import types
from typing import Any

from rewards.programs.inside.isolated_tests.codec import TYPES
from rewards.programs.inside.isolated_tests.remote import Remote

_LIBRARY = {
    "dataclasses": ("asdict", "astuple", "fields", "is_dataclass", "replace"),
    "inspect": (
        *("signature", "getdoc", "isabstract", "isfunction", "ismethod", "isroutine", "isgenerator", "isgeneratorfunction"),
        *("iscoroutinefunction", "iscoroutine", "getfullargspec", "getmembers"),
    ),
}


def compile_tests(source: str, name: str) -> Any:
    """Compile tests with the functions below, which `FUNCTIONS` has, for `is`, `type(x)` and others."""
    tree = _Rewriter().visit(ast.parse(source))
    return compile(ast.fix_missing_locations(tree), name, "exec", dont_inherit=True)


class _Rewriter(ast.NodeTransformer):
    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        if len(node.ops) > 1 or not isinstance(node.ops[0], (ast.Is, ast.IsNot)):
            return node
        same = _call("_is_same", node.left, *node.comparators)
        return same if isinstance(node.ops[0], ast.Is) else ast.UnaryOp(ast.Not(), same)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and not node.keywords and len(node.args) in _REPLACED.get(node.func.id, ()):
            return _call(f"_{node.func.id}", *node.args)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        return _call("_type", node.value) if node.attr == "__class__" and isinstance(node.ctx, ast.Load) else node


def _call(name: str, *args: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(f"{name}_of_solution", ast.Load()), list(args), [])


def _is_same(a: Any, b: Any) -> bool:
    return a._remote_number == b._remote_number if type(a) is Remote and type(b) is Remote else a is b


def _type_of(value: Any) -> Any:
    return (value._remote_local or value._remote_ask("type")) if type(value) is Remote else type(value)


def _has_attribute(value: Any, name: str) -> bool:
    is_special = type(value) is Remote and name.startswith("__")
    return value._remote_ask("hasattr", name) is True if is_special else hasattr(value, name)


def _id_of(value: Any) -> int:
    return -1 - value._remote_number if type(value) is Remote else id(value)


def _is_callable(value: Any) -> bool:
    return value._remote_ask("callable") is True if type(value) is Remote else callable(value)


def _is_instance(value: Any, kinds: Any) -> bool:
    if isinstance(kinds, (tuple, types.UnionType)):
        return any(_is_instance(value, each) for each in (kinds if isinstance(kinds, tuple) else kinds.__args__))
    if type(value) is not Remote or not _is_library_class(kinds) or isinstance(value, kinds):
        return isinstance(value, kinds)
    # An abstract class such as Iterable. Which built-in type a value has is not for the program to say.
    return kinds not in TYPES and value._remote_ask("isinstance", kinds) is True


def _is_subclass(kind: Any, kinds: Any) -> bool:
    if isinstance(kinds, tuple):
        return any(_is_subclass(kind, each) for each in kinds)
    if type(kind) is Remote and _is_library_class(kinds):
        return kind._remote_ask("issubclass", kinds) is True
    return issubclass(kind, kinds)


def _is_library_class(kind: Any) -> bool:
    return type(kind) is not Remote and getattr(kind, "__module__", "").partition(".")[0] in sys.stdlib_module_names


def _evaluate(source: Any, *scopes: Any) -> Any:
    """Evaluate an expression, which could be the program's text: only literals, operators, and calls of its classes."""
    frame = sys._getframe(1)
    names = {**frame.f_globals, **frame.f_locals}
    for scope in scopes:
        names.update(scope)
    tree = ast.parse(source, mode="eval")
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and _is_harmless(names.get(node.func.id))):
            raise ValueError(f"{ast.unparse(node)} is not evaluated")
        if not isinstance(node, (*_EVALUATED, ast.Call)):
            raise ValueError(f"a {type(node).__name__} is not evaluated")  # noqa: TRY004 (of the text, not of an argument)
    return eval(compile(tree, "<eval>", "eval"), {"__builtins__": _FUNCTIONS}, names)


def _is_harmless(function: Any) -> bool:
    return type(function) is Remote or function is None


_EVALUATED = (
    *(ast.Expression, ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.keyword, ast.IfExp),
    *(ast.Constant, ast.Name, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.List, ast.Tuple, ast.Dict, ast.Set),
)
_FUNCTIONS = {each.__name__: each for each in (abs, bool, float, frozenset, int, len, list, max, min, round, set, sum, tuple)}
# Name -> the numbers of arguments of the calls that are replaced.
_REPLACED = {"hasattr": (2,), "type": (1,), "id": (1,), "callable": (1,), "isinstance": (2,), "issubclass": (2,)}
FUNCTIONS: dict[str, Any] = {
    f"{name}_of_solution": function
    for name, function in {
        "_is_same": _is_same,
        "_type": _type_of,
        "_hasattr": _has_attribute,
        "_id": _id_of,
        "_callable": _is_callable,
        "_isinstance": _is_instance,
        "_issubclass": _is_subclass,
    }.items()
}
FUNCTIONS["eval"] = _evaluate


def _make_forwarder(module: str, name: str, original: Any) -> Any:
    def act(*args: Any, **kwargs: Any) -> Any:
        remote = next((each for each in args if type(each) is Remote), None)
        if remote is None:
            return original(*args, **kwargs)
        return remote._remote_peer.ask("library", module, name, args, kwargs)

    return act


def forward_library(scope: dict[str, Any]) -> None:
    """Let functions of `dataclasses` and `inspect` examine the candidate's objects in its process."""
    for module, names in _LIBRARY.items():
        for name in names:
            original = getattr(importlib.import_module(module), name)
            forwarder = _make_forwarder(module, name, original)
            setattr(sys.modules[module], name, forwarder)
            scope.update({key: forwarder for key, value in scope.items() if value is original})
