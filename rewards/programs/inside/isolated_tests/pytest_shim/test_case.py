"""A collected test with its setup and teardown."""

from __future__ import annotations

import inspect
import io
import sys
from typing import Any

from rewards.programs.inside.isolated_tests.errors import Unsupported
from rewards.programs.inside.isolated_tests.pytest_shim.fixtures import Fixture


class Test:
    """A test function with one parameter set."""

    def __init__(self, function: Any, module: Any, owner: Any, values: dict[str, Any], fixtures: dict[str, Fixture]) -> None:
        self.function, self.module, self.owner, self.values, self.fixtures = function, module, owner, values, fixtures
        self.made: dict[str, Any] = {}
        self.open: list[Any] = []
        self.instance: Any = None

    def __call__(self) -> None:
        """Run the test. Raises an exception if it fails."""
        # Discard what the test prints. Fixtures undo their own patches.
        sys.stdout = io.StringIO()
        try:
            if self.owner is not None:
                self.instance = self.owner()
                self._call_optional(self.owner, "setup_class")
                self._call_optional(self.instance, "setup_method", self.function)
            else:
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
        finally:
            for each in reversed(self.open):
                next(each, None)
            if self.instance is not None:
                self._call_optional(self.instance, "teardown_method", self.function)
            else:
                self._call_optional(self.module, "teardown_function", self.function)

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
                self.open.append(value)
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
