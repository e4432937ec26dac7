"""Collect the tests of a module and run each with its setup and teardown."""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
import itertools
import sys
from typing import Any

from rewards.programs.inside.isolated_tests.peer import Peer, Unsupported
from rewards.programs.inside.isolated_tests.pytest_shim.declarations import BUILT_IN, Fixture, MonkeyPatch, Parameters

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
        given, marks = each if isinstance(each, Parameters) else ((each,) if single else tuple(each), [])
        if any(mark.name in ("skip", "skipif", "xfail") for mark in marks):
            continue
        if len(given) != len(listed):
            raise Unsupported(f"parametrize of {', '.join(listed)} with {len(given)} values")
        sets.append(dict(zip(listed, given, strict=True)))
    return sets


class Test:
    """A test function with one parameter set."""

    def __init__(self, function: Any, module: Any, owner: Any, values: dict[str, Any], fixtures: dict[str, Fixture]) -> None:
        self.function, self.module, self.owner, self.values, self.fixtures = function, module, owner, values, fixtures
        self.made: dict[str, Any] = {}
        self.stack = contextlib.ExitStack()
        self.instance: Any = None

    def __call__(self) -> None:
        """Run the test. Raises an exception if it fails."""
        # Discard what the test prints. Fixtures undo their own patches.
        sys.stdout = io.StringIO()
        with self.stack:
            if self.owner is not None:
                self.instance = self.owner()
                self.stack.callback(self._call_optional, self.instance, "teardown_method", self.function)
                self._call_optional(self.owner, "setup_class")
                self._call_optional(self.instance, "setup_method", self.function)
            else:
                self.stack.callback(self._call_optional, self.module, "teardown_function", self.function)
                self._call_optional(self.module, "setup_module", self.module)
                self._call_optional(self.module, "setup_function", self.function)
            for name, each in self.fixtures.items():
                if each.autouse:
                    self._resolve(name)
            function = self.function if self.instance is None else self.function.__get__(self.instance)
            arguments = {name: self._resolve(name) for name in _list_parameters(function)}
            result = function(**arguments)
            if inspect.iscoroutine(result):
                raise Unsupported("an async test")

    def _resolve(self, name: str) -> Any:
        if name in self.values:
            return self.values[name]
        if name not in self.made:
            if name not in self.fixtures:
                raise Unsupported(f"the fixture {name}")
            function = self.fixtures[name].function
            if self.instance is not None and next(iter(inspect.signature(function).parameters), "") == "self":
                function = function.__get__(self.instance)
            value = function(**{each: self._resolve(each) for each in _list_parameters(function)})
            if inspect.isgenerator(value):
                self.stack.callback(next, value, None)
                value = next(value)
            self.made[name] = value
        return self.made[name]

    @staticmethod
    def _call_optional(owner: Any, name: str, argument: Any = None) -> None:
        function = getattr(owner, name, None)
        if function is not None:
            function(*[argument][: len(inspect.signature(function).parameters)])


def _list_parameters(function: Any) -> list[str]:
    return [
        name
        for name, each in inspect.signature(function).parameters.items()
        if each.default is each.empty and each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
    ]
