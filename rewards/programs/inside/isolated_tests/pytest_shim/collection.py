"""Collect the tests of a module and run each with its setup and teardown."""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
import itertools
import sys
import types
from collections.abc import Callable
from typing import Any

from rewards.programs.inside.isolated_tests.peer import Peer, Unsupported
from rewards.programs.inside.isolated_tests.pytest_shim.declarations import BUILT_IN, Fixture, MonkeyPatch, Parameters, Request
from rewards.programs.inside.isolated_tests.pytest_shim.support import SKIPPED, find_unsupported, list_imports, list_names
from rewards.programs.inside.isolated_tests.rewriting import compile_tests


def collect(source: str, scope: dict[str, Any], peer: Peer) -> list[Test]:
    """Run a test module and return its tests."""
    MonkeyPatch.peer = peer
    module = type(sys)("test_solution")
    sys.modules["test_solution"] = module
    module.__dict__.update({name: value for name, value in scope.items() if not name.startswith("__")})
    tree = ast.parse(source)
    _check(tree)
    sys.modules["solution"].__dict__["_kept"] = set(list_names(tree))
    exec(compile_tests(source, "<tests>"), module.__dict__)
    shared = Shared(module)
    fixtures = {**BUILT_IN, **_take_fixtures(module)}
    tests: list[Test] = []
    for name, value in list(module.__dict__.items()):
        # A function or class of the program, imported with `*`, is not a test.
        if name.startswith("test") and type(value) is types.FunctionType:
            tests += _expand(value, shared, None, fixtures, getattr(value, "_marks", ()))
        elif name.startswith("Test") and issubclass(type(value), type) and value.__module__ == "test_solution":
            own = {**fixtures, **_take_fixtures(value)}
            marks = getattr(value, "_marks", ())
            for method in _list_members(value):
                function = getattr(value, method)
                if method.startswith("test") and inspect.isfunction(function):
                    tests += _expand(function, shared, value, own, (*getattr(function, "_marks", ()), *marks))
    return tests


def _list_members(kind: type) -> list[str]:
    return list(dict.fromkeys(name for each in reversed(kind.__mro__) for name in each.__dict__))


def _take_fixtures(owner: Any) -> dict[str, Fixture]:
    found = [getattr(owner, name) for name in _list_members(owner)] if isinstance(owner, type) else owner.__dict__.values()
    return {each.name: each for each in found if type(each) is Fixture}


def _check(tree: ast.Module) -> None:
    if found := find_unsupported(tree):
        raise Unsupported(found)
    for name in (name for node in ast.walk(tree) for name in list_imports(node)):
        try:
            __import__(name)
        except ImportError:
            raise Unsupported(f"import {name}") from None


def _expand(function: Any, shared: Shared, owner: Any, fixtures: dict[str, Fixture], marks: Any) -> list[Test]:
    sets, used = list[list[Values]](), list[str]()
    for each in marks:
        if each.name in SKIPPED and (each.name != "skipif" or any(each.args)):
            return []
        if each.name == "parametrize":
            sets.append(_read_sets(*each.args, **each.kwargs))
        elif each.name == "usefixtures":
            used += each.args
    given = {name for part in sets for values in part for name in values}
    used += [each.name for each in fixtures.values() if each.autouse]
    for name in _find_needed([*used, *_list_parameters(function)], fixtures):
        params = fixtures[name].params
        if params is not None and name not in given:
            sets.append([{name: Indirect(value)} for value in params])
    tests = []
    for combination in itertools.product(*sets):
        values = {name: value for part in combination for name, value in part.items()}
        tests.append(Test(function, shared, owner, values, fixtures, used))
    return tests


def _find_needed(names: list[str], fixtures: dict[str, Fixture]) -> list[str]:
    """Return the fixtures among the names, and those that they need."""
    needed: dict[str, None] = {}
    rest = list(names)
    while rest:
        name = rest.pop(0)
        if name in fixtures and name not in needed:
            needed[name] = None
            rest += _list_parameters(fixtures[name].function)
    return list(needed)


class Indirect:
    """A parameter of a fixture."""

    def __init__(self, value: Any) -> None:
        self.value = value


Values = dict[str, Any]


def _read_sets(argnames: Any, argvalues: Any, indirect: Any = False, **_: Any) -> list[Values]:
    listed = [name.strip() for name in argnames.split(",") if name.strip()] if isinstance(argnames, str) else list(argnames)
    single = len(listed) == 1 and isinstance(argnames, str)
    to_fixtures = listed if indirect is True else indirect or ()
    sets = []
    for each in argvalues:
        given, marks = each if isinstance(each, Parameters) else ((each,) if single else tuple(each), [])
        if any(mark.name in SKIPPED for mark in marks):
            continue
        if len(given) != len(listed):
            raise Unsupported(f"parametrize of {', '.join(listed)} with {len(given)} values")
        sets.append(
            {name: Indirect(value) if name in to_fixtures else value for name, value in zip(listed, given, strict=True)}
        )
    return sets


class Shared:
    """What the tests of a module share: setups that run once, and fixtures of a wider scope than one test."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.fixtures: dict[Any, Any] = {}
        self._done: set[Any] = set()

    def call_once(self, owner: Any, name: str) -> None:
        if (owner, name) not in self._done:
            self._done.add((owner, name))
            _call_optional(owner, name, owner)


class Test:
    """A test function with one parameter set."""

    def __init__(
        self, function: Any, shared: Shared, owner: Any, values: Values, fixtures: dict[str, Fixture], used: list[str]
    ) -> None:
        self.function, self.shared, self.owner = function, shared, owner
        self.values, self.fixtures, self.used = values, fixtures, used
        self.made: dict[str, Any] = {}
        self.stack = contextlib.ExitStack()
        self.instance: Any = None

    def __call__(self) -> None:
        """Run the test. Raises an exception if it fails."""
        # Discard what the test prints. Fixtures undo their own patches.
        sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
        module = self.shared.module
        with self.stack:
            self.shared.call_once(module, "setup_module")
            if self.owner is not None:
                self.instance = self.owner()
                self.stack.callback(_call_optional, self.instance, "teardown_method", self.function)
                self.shared.call_once(self.owner, "setup_class")
                _call_optional(self.instance, "setup_method", self.function)
                _call_optional(self.instance, "setup")
            else:
                self.stack.callback(_call_optional, module, "teardown_function", self.function)
                _call_optional(module, "setup_function", self.function)
            for name in self.used:
                self.resolve(name)
            function = self.function if self.instance is None else self.function.__get__(self.instance)
            arguments = {name: self.resolve(name) for name in _list_parameters(function)}
            result = function(**arguments)
            if inspect.iscoroutine(result):
                raise Unsupported("an async test")

    def resolve(self, name: str) -> Any:
        """Return the value of a parameter of the test or of a fixture."""
        if name in self.values and not isinstance(self.values[name], Indirect):
            return self.values[name]
        if name == "request":
            return Request(self)
        if name not in self.made:
            if name not in self.fixtures:
                raise Unsupported(f"the fixture {name}")
            self.made[name] = self._find_shared(name, self.fixtures[name])
        return self.made[name]

    def _find_shared(self, name: str, fixture: Fixture) -> Any:
        if fixture.scope == "function":
            return self._set_up(name, fixture, self.stack.callback)
        key = (name, self.owner if fixture.scope == "class" else None, id(self.values.get(name)))
        if key not in self.shared.fixtures:
            # Wider scopes end with the process.
            self.shared.fixtures[key] = self._set_up(name, fixture, lambda *_: None)
        return self.shared.fixtures[key]

    def _set_up(self, name: str, fixture: Fixture, finish: Callable[..., Any]) -> Any:
        function = fixture.function
        if self.instance is not None and next(iter(inspect.signature(function).parameters), "") == "self":
            function = function.__get__(self.instance)
        param = self.values[name].value if name in self.values else None
        values = {
            each: Request(self, param) if each == "request" else self.resolve(each) for each in _list_parameters(function)
        }
        value = function(**values)
        if inspect.isgenerator(value):
            finish(next, value, None)
            value = next(value)
        return value


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
