"""Collect the tests of a module."""

from __future__ import annotations

import ast
import inspect
import itertools
import sys
from typing import Any

from rewards.programs.inside.isolated_tests.errors import Unsupported
from rewards.programs.inside.isolated_tests.peer import Peer
from rewards.programs.inside.isolated_tests.pytest_shim.fixtures import BUILT_IN, Fixture
from rewards.programs.inside.isolated_tests.pytest_shim.marks import Parameters
from rewards.programs.inside.isolated_tests.pytest_shim.monkeypatch import MonkeyPatch
from rewards.programs.inside.isolated_tests.pytest_shim.test_case import Test

_MISSING_MODULES = {"unittest", "asyncio", "subprocess", "multiprocessing", "socket", "threading"}


def collect(source: str, scope: dict[str, Any], peer: Peer) -> list[Test]:
    """Run a test module and return its tests."""
    MonkeyPatch.peer = peer
    module = type(sys)("test_solution")
    sys.modules["test_solution"] = module
    module.__dict__.update({name: value for name, value in scope.items() if not name.startswith("__")})
    _check_imports(source)
    exec(compile(source, "<tests>", "exec", dont_inherit=True), module.__dict__)
    fixtures = {**BUILT_IN, **_take_fixtures(module)}
    tests: list[Test] = []
    for name, value in list(module.__dict__.items()):
        if name.startswith("test") and inspect.isfunction(value):
            tests += _expand(value, module, None, fixtures, getattr(value, "_marks", ()))
        elif name.startswith("Test") and isinstance(value, type) and value.__module__ == "test_solution":
            own = {**fixtures, **_take_fixtures(value)}
            marks = getattr(value, "_marks", ())
            for method in _list_members(value):
                function = getattr(value, method)
                if method.startswith("test") and inspect.isfunction(function):
                    tests += _expand(function, module, value, own, (*getattr(function, "_marks", ()), *marks))
    return tests


def _list_members(kind: type) -> list[str]:
    return list(dict.fromkeys(name for each in reversed(kind.__mro__) for name in each.__dict__))


def _take_fixtures(owner: Any) -> dict[str, Fixture]:
    found = [getattr(owner, name) for name in _list_members(owner)] if isinstance(owner, type) else owner.__dict__.values()
    return {each.name: each for each in found if type(each) is Fixture}


def _check_imports(source: str) -> None:
    for node in ast.walk(ast.parse(source)):
        names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            if node.level:
                raise Unsupported("a relative import")
            names = [node.module or ""]
        for name in names:
            top = name.partition(".")[0]
            if top in ("solution", "pytest", "__future__"):
                continue
            if top in _MISSING_MODULES:
                raise Unsupported(f"import {name}")
            try:
                __import__(name)
            except ImportError:
                raise Unsupported(f"import {name}") from None
        if isinstance(node, (ast.AsyncFunctionDef, ast.Await)):
            raise Unsupported("an async test")


def _expand(function: Any, module: Any, owner: Any, fixtures: dict[str, Fixture], marks: Any) -> list[Test]:
    xfail, sets = False, list[list[dict[str, Any]]]()
    for each in marks:
        if each.name == "skip" or (each.name == "skipif" and any(each.args)):
            return []
        xfail = xfail or each.name == "xfail"
        if each.name == "parametrize":
            sets.append(_read_sets(*each.args, **each.kwargs))
    if xfail:
        raise Unsupported("pytest.mark.xfail")
    tests = []
    for combination in itertools.product(*sets):
        values = {name: value for part in combination for name, value in part.items()}
        tests.append(Test(function, module, owner, values, fixtures))
    return tests


def _read_sets(names: Any, values: Any, **_: Any) -> list[dict[str, Any]]:
    listed = [name.strip() for name in names.split(",") if name.strip()] if isinstance(names, str) else list(names)
    single = len(listed) == 1 and isinstance(names, str)
    sets = []
    for each in values:
        if isinstance(each, Parameters):
            if any(mark.name in ("skip", "skipif", "xfail") for mark in each.marks):
                continue
            given = each.values
        else:
            given = (each,) if single else tuple(each)
        if len(given) != len(listed):
            raise Unsupported(f"parametrize of {', '.join(listed)} with {len(given)} values")
        sets.append(dict(zip(listed, given, strict=True)))
    return sets
