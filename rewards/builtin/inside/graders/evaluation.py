"""Evaluate expressions of a response for a grader, without running code of the response.

Some graders call `eval` on text of the response, in the process that holds the ground truth and the token of the verdict.
Code there could read both and forge its score. So `vetted` replaces `eval`, `exec` and `compile` while a grader runs: an
expression of numbers, containers, operators, and names that the grader gives to it or that are harmless everywhere is
evaluated in a namespace of its own; everything else is refused, and the grader sees a syntax error.
"""

from __future__ import annotations

import ast
import builtins
import cmath
import math
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, ModuleType
from typing import Any

_NODES = (
    *(ast.Expression, ast.Constant, ast.Name, ast.expr_context, ast.Call, ast.keyword, ast.IfExp, ast.Subscript, ast.Slice),
    *(ast.UnaryOp, ast.unaryop, ast.BinOp, ast.operator, ast.BoolOp, ast.boolop, ast.Compare, ast.cmpop),
    *(ast.List, ast.Tuple, ast.Set, ast.Dict, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp, ast.comprehension),
)
_HARMLESS: dict[str, Any] = {
    **{each.__name__: each for each in (abs, all, any, bool, complex, dict, divmod, enumerate, float, frozenset, int, len)},
    **{each.__name__: each for each in (list, max, min, pow, range, reversed, round, set, sorted, str, sum, tuple, zip)},
}
_MODULES = (math, cmath)
_FUNCTIONS = [*_HARMLESS.values(), *(each for module in _MODULES for each in vars(module).values() if callable(each))]
_CLASSES = ("collections", "datetime", "decimal", "fractions")
"""Modules of the standard library whose objects a grader may give to an expression."""
_PLAIN = (bool, int, float, complex, str, bytes, range, type(None))
# These evaluate text of their own. Other modules may call a function for the grader, as an executor does.
_TRUSTED = re.compile(r"(ast|collections|dataclasses|importlib|sympy\.polys|typing|zipimport)(\..*)?")
_STARTS = frozenset({"os.exec", "os.posix_spawn", "os.spawn", "os.system", "subprocess.Popen"})
_IMPORTING = "<frozen importlib._bootstrap>"

_eval, _exec, _compile = eval, exec, compile


class RefusedError(SyntaxError):
    """The text is not an expression that is evaluated for a grader."""


class Record:
    """What was refused while a grader ran.

    Args:
        package: the grader's package.
    """

    def __init__(self, package: str) -> None:
        self.package = package
        self.active = True
        self.refused = ""
        """The first refused expression."""
        self.runs = ""
        """How the grader itself runs programs."""
        self._evaluating = 0
        self._compiled: list[tuple[CodeType, ast.Expression]] = []

    def evaluate(self, source: Any, scopes: Any = None, local: Any = None, /, **named: Any) -> Any:
        """Replace `eval`."""
        frame = sys._getframe(1)
        scopes, local = named.get("globals", scopes), named.get("locals", local)
        if self._is_trusted(frame):
            implicit = scopes is None
            local = (frame.f_locals if implicit else scopes) if local is None else local
            return _eval(_to_code(source, "eval"), frame.f_globals if implicit else scopes, local)
        tree = self._read(source)
        # A grader that passes its own scope has not chosen names for the expression.
        own = (frame.f_globals, frame.f_locals)
        given = [each for each in (local, scopes) if each is not None and not any(_is_same_scope(each, scope) for scope in own)]
        try:
            names = _vet(tree, given, own)
        except RefusedError:
            self.refused = self.refused or ast.unparse(tree)[:80]
            raise
        self._evaluating += 1
        try:
            return _eval(_compile(tree, "<response>", "eval", dont_inherit=True), {"__builtins__": {}, **names})
        finally:
            self._evaluating -= 1

    def execute(self, source: Any, scopes: Any = None, local: Any = None, /, **named: Any) -> None:
        """Replace `exec`. It may fill a scope from modules that are loaded, as sympy's parser does."""
        frame = sys._getframe(1)
        scopes, local = named.get("globals", scopes), named.get("locals", local)
        if not (self._is_trusted(frame) or _is_import(source)):
            self._refuse_program("exec", frame)
        implicit, more = scopes is None, {"closure": named["closure"]} if "closure" in named else {}
        local = (frame.f_locals if implicit else scopes) if local is None else local
        _exec(_to_code(source, "exec"), frame.f_globals if implicit else scopes, local, **more)

    def compile(self, source: Any, filename: Any, mode: str, flags: int = 0, *more: Any, **named: Any) -> Any:
        """Replace `compile`. An expression is vetted when it is evaluated."""
        frame = sys._getframe(1)
        if self._is_trusted(frame) or flags & ast.PyCF_ONLY_AST:
            named = named if more else {"dont_inherit": True, **named}
            return _compile(source, filename, mode, flags, *more, **named)
        if mode != "eval":
            self._refuse_program("compile", frame)
        tree = self._read(source)
        self._compiled.append((_compile(tree, "<response>", "eval", dont_inherit=True), tree))
        return self._compiled[-1][0]

    def audit(self, event: str, _: tuple[Any, ...]) -> None:
        """Refuse to start programs."""
        if self.active and event in _STARTS and not _is_importing(frame := sys._getframe(1)):
            while frame.f_back is not None and _find_module(frame).partition(".")[0] in sys.stdlib_module_names:
                frame = frame.f_back
            self._refuse_program(event, frame)

    def _read(self, source: Any) -> ast.Expression:
        if isinstance(source, CodeType):
            found = next((tree for code, tree in self._compiled if code is source), None)
            if found is None:
                raise RefusedError("this code object is not evaluated")
            return found
        if isinstance(source, bytes | bytearray):
            source = source.decode()
        if isinstance(source, str):
            source = ast.parse(source.lstrip(" \t"), mode="eval")
        if not isinstance(source, ast.Expression):
            raise TypeError(f"expected an expression, found a {type(source).__name__}")
        return source

    def _is_trusted(self, frame: FrameType) -> bool:
        """Return whether the caller evaluates no text of a response."""
        return not self.active or bool(_TRUSTED.fullmatch(_find_module(frame))) or _is_importing(frame)

    def _refuse_program(self, how: str, frame: FrameType) -> None:
        name = _find_module(frame)
        if not self._evaluating and (name == self.package or name.startswith(f"{self.package}.")):
            self.runs = how
        self.refused = self.refused or how
        raise RefusedError(f"{how} is not allowed in a grader")


@contextmanager
def vetted(package: str) -> Iterator[Record]:
    """Vet what a grader of this package evaluates."""
    record = Record(package)
    sys.addaudithook(record.audit)
    replaced = {"eval": record.evaluate, "exec": record.execute, "compile": record.compile}
    originals = {name: getattr(builtins, name) for name in replaced}
    vars(builtins).update(replaced)
    try:
        yield record
    finally:
        record.active = False
        vars(builtins).update(originals)


def _vet(tree: ast.Expression, given: list[Any], own: tuple[Any, ...]) -> dict[str, Any]:
    """Return the values of an expression's names.

    Raises:
        RefusedError: it could do more than to compute a value.
    """
    nodes = list(ast.walk(tree))
    bound = {node.id for node in nodes if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    names: dict[str, Any] = {}
    of_modules: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and not node.attr.startswith("_"):
            of_modules.add(node.value.id)
        elif not isinstance(node, _NODES):
            raise RefusedError(f"{type(node).__name__} is not evaluated")
        elif isinstance(node, ast.Name) and node.id not in bound:
            names[node.id] = _find(node.id, given, own)
    for name in of_modules:
        if not any(names.get(name) is module for module in _MODULES):
            raise RefusedError(f"attributes of {name!r} are not evaluated")
    return names


def _find(name: str, given: list[Any], own: tuple[Any, ...]) -> Any:
    """Return the value of a name: chosen by the grader, or harmless and in scope, or a harmless built-in one."""
    if not name.startswith("_"):
        for scope in given:
            if name in scope:
                if _is_given(scope[name]):
                    return scope[name]
                raise RefusedError(f"{name!r} is not evaluated")
        for scope in (*own, _HARMLESS):
            # The grader's variables may hold the solution.
            if name in scope and _is_harmless(scope[name]):
                return scope[name]
    raise RefusedError(f"the name {name!r} is not evaluated")


def _is_harmless(value: Any) -> bool:
    return any(value is each for each in (*_MODULES, *_FUNCTIONS))


def _is_given(value: Any) -> bool:
    """Return whether a value that the grader chose for an expression cannot reach anything else.

    The grader's own functions and objects are accepted, and those of packages such as sympy: what these evaluate is vetted.
    """
    if type(value) is dict:
        return all(map(_is_given, value.values()))
    if type(value) in (list, tuple, set, frozenset):
        return all(map(_is_given, value))
    if type(value) in _PLAIN or _is_harmless(value):
        return True
    if isinstance(value, ModuleType):
        return False
    owner = value if isinstance(value, type | FunctionType | BuiltinFunctionType) else type(value)
    top = str(owner.__module__).partition(".")[0]
    return top in _CLASSES or top not in sys.stdlib_module_names


def _is_same_scope(one: Any, other: Any) -> bool:
    """Return whether the grader passed on its own scope or a copy of it."""
    return one is other or (bool(other) and isinstance(one, dict) and one.keys() >= set(other))


def _is_import(source: Any) -> bool:
    """Return whether a text only imports modules that are loaded, which runs no code of theirs."""
    if not isinstance(source, str):
        return False
    for line in ast.parse(source).body:
        if not isinstance(line, ast.Import | ast.ImportFrom):
            return False
        modules = [line.module] if isinstance(line, ast.ImportFrom) else [each.name for each in line.names]
        if not all(module in sys.modules for module in modules):
            return False
    return True


def _to_code(source: Any, mode: str) -> Any:
    """Compile text here: `eval` and `exec` would apply the future statements of this module to it."""
    if isinstance(source, str) and mode == "eval":
        source = source.lstrip(" \t")
    return source if isinstance(source, CodeType) else _compile(source, "<string>", mode, dont_inherit=True)


def _find_module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__"))


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == _IMPORTING:
            return True
        frame = frame.f_back
    return False
