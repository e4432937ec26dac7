"""What test modules use of pytest, for the tests' process: its source becomes the module `pytest` there.

`raises`, `approx`, `fixture`, `skip`, `fail`, `mark.parametrize`, `mark.skip`, `mark.skipif`, `mark.xfail`, the fixtures
`monkeypatch`, `capsys` and `tmp_path`, and collecting: functions `test…` and classes `Test…`. A test that needs anything
else is told apart from one that fails.
"""

from __future__ import annotations

import inspect
import io
import itertools
import math
import os
import pathlib
import re
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

__version__ = "8.0.0"

_MISSING_MODULES = {"unittest", "asyncio", "subprocess", "multiprocessing", "socket", "threading"}
_NO_EFFECT = {"timeout", "slow", "order", "unit", "integration", "filterwarnings", "usefixtures", "dependency", "run"}
_unsupported: Any = None
_state: dict[str, Any] = {}


class Skipped(BaseException):
    """A test was skipped: it does not hold, for nothing was shown."""


Exit = Skipped


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    raise _unsupported(f"pytest.{name}")


def skip(reason: str = "", **_: Any) -> None:
    """Ends a test as skipped."""
    raise Skipped(reason)


def fail(reason: str = "", **_: Any) -> None:
    """Ends a test as failed."""
    raise AssertionError(reason)


class ExceptionInfo:
    """What `raises` caught."""

    def __init__(self) -> None:
        self.value: Any = None

    @property
    def type(self) -> Any:
        """Its class."""
        return type(self.value)

    @property
    def typename(self) -> str:
        """Its class's name."""
        return type(self.value).__name__

    def match(self, pattern: str) -> bool:
        """Asserts that the message holds the pattern."""
        assert re.search(pattern, str(self.value))
        return True

    def exconly(self, tryshort: bool = False) -> str:
        """Class and message."""
        return f"{type(self.value).__name__}: {self.value}"

    def errisinstance(self, kinds: Any) -> bool:
        """Whether it is of a class."""
        return isinstance(self.value, kinds)


class _Raises:
    def __init__(self, expected: Any, match: Any) -> None:
        self.expected, self.pattern, self.info = expected, match, ExceptionInfo()

    def __enter__(self) -> ExceptionInfo:
        return self.info

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        assert kind is not None, f"did not raise {self.expected}"
        if not issubclass(kind, self.expected) or kind.__name__ == "Gone":
            return False
        self.info.value = error
        assert self.pattern is None or re.search(self.pattern, str(error)), "the message does not match"
        return True


def raises(expected: Any, *args: Any, match: Any = None, **kwargs: Any) -> Any:
    """Asserts that an exception of the class, or one of the classes, is raised."""
    for each in expected if isinstance(expected, tuple) else (expected,):
        if not (isinstance(each, type) and issubclass(each, BaseException)):
            raise TypeError(f"{each!r} is no exception class")
    if not args:
        return _Raises(expected, match)
    held = _Raises(expected, match)
    with held as info:
        args[0](*args[1:], **kwargs)
    return info


class approx:  # noqa: N801 (pytest's name)
    """Numbers that are near, also in lists, tuples and dicts."""

    __array_ufunc__ = None

    def __init__(self, expected: Any, rel: Any = None, abs: Any = None, nan_ok: bool = False) -> None:  # noqa: A002
        self.expected, self.rel, self.abs, self.nan_ok = expected, rel, abs, nan_ok

    def __repr__(self) -> str:
        return f"approx({self.expected!r})"

    def __eq__(self, actual: object) -> bool:
        return self._is_near(actual, self.expected)

    __hash__ = None  # type: ignore[assignment]

    def _is_near(self, actual: Any, expected: Any) -> bool:
        if isinstance(expected, dict):
            return (
                type(actual).__name__ in ("dict", "OrderedDict", "defaultdict", "Counter")
                and actual.keys() == expected.keys()
                and all(self._is_near(actual[key], expected[key]) for key in expected)
            )
        if isinstance(expected, (list, tuple)):
            fits = type(actual) in (list, tuple) and len(actual) == len(expected)
            return fits and all(map(self._is_near, actual, expected))
        # A class of the program's could answer as it likes: only numbers are computed with.
        if type(actual).__name__ not in ("int", "float", "bool", "complex", "Decimal", "Fraction"):
            return actual is None and expected is None
        if type(expected) in (str, bool, type(None)) or expected == actual:
            return bool(expected == actual)
        if expected != expected:
            return self.nan_ok and actual != actual
        if type(expected) is float and math.isinf(expected):
            return False
        tolerance = max(
            (1e-6 if self.rel is None else self.rel) * abs(expected) if self.rel is not None or self.abs is None else 0,
            1e-12 if self.abs is None else self.abs,
        )
        return bool(abs(float(actual) - float(expected) if type(actual) is not complex else actual - expected) <= tolerance)


class _Mark:
    def __init__(self, name: str, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> None:
        self.name, self.args, self.kwargs = name, args, kwargs or {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if len(args) == 1 and not kwargs and (inspect.isfunction(args[0]) or isinstance(args[0], type)):
            marked: Any = args[0]
            marked._marks = [*marked.__dict__.get("_marks", ()), self]
            return marked
        return _Mark(self.name, args, kwargs)


class _Marks:
    def __getattr__(self, name: str) -> _Mark:
        if name not in {"parametrize", "skip", "skipif", "xfail", *_NO_EFFECT}:
            raise _unsupported(f"pytest.mark.{name}")
        return _Mark(name)


mark = _Marks()


class _Parameters:
    def __init__(self, values: tuple[Any, ...], marks: Any) -> None:
        self.values, self.marks = values, [marks] if isinstance(marks, _Mark) else list(marks)


def param(*values: Any, id: Any = None, marks: Any = ()) -> _Parameters:  # noqa: A002
    """One set of parameters."""
    return _Parameters(values, marks)


class _Fixture:
    def __init__(self, function: Any, autouse: bool, name: str) -> None:
        self.function, self.autouse, self.name = function, autouse, name


def fixture(function: Any = None, *, scope: Any = "function", params: Any = None, autouse: bool = False, **other: Any) -> Any:
    """A fixture; made anew for every test, whatever its scope."""
    if params is not None:
        raise _unsupported("a fixture with params")

    def add(target: Any) -> _Fixture:
        return _Fixture(target, autouse, other.get("name") or target.__name__)

    return add if function is None else add(function)


class MonkeyPatch:
    """`setattr`, `setitem`, `setenv` and their opposites, undone at the test's end; the program sees them too."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], Any]] = []

    def setattr(self, target: Any, name: Any, value: Any = None, raising: bool = True) -> None:
        """Sets an attribute of an object, or what a dotted name says."""
        if isinstance(target, str):
            value, (target, _, name) = name, target.rpartition(".")
            target = sys.modules.get(target) or __import__(target, fromlist=["_"])
        if target is sys and name in ("stdin", "argv"):
            raise _unsupported(f"monkeypatch of sys.{name}")
        before = getattr(target, name)
        self._undo.append(lambda: self._set(target, name, before))
        self._set(target, name, value)

    def _set(self, target: Any, name: str, value: Any) -> None:
        setattr(target, name, value)
        if isinstance(target, type(sys)) and target.__name__ != "solution":
            _state["judge"].ask("patch", target.__name__, name, value)

    def setitem(self, target: Any, key: Any, value: Any) -> None:
        """Sets an item."""
        if target is os.environ:
            raise _unsupported("monkeypatch of the environment")
        held, before = key in target, target.get(key)
        self._undo.append(lambda: target.__setitem__(key, before) if held else target.__delitem__(key))
        target[key] = value

    def __getattr__(self, name: str) -> Any:
        raise _unsupported(f"monkeypatch.{name}")

    def undo(self) -> None:
        """Sets everything back."""
        while self._undo:
            self._undo.pop()()


class _Captured(tuple):  # type: ignore[type-arg]
    out = property(lambda self: self[0])
    err = property(lambda self: self[1])


class CapSys:
    """What was printed, by the tests and by the program."""

    def __init__(self) -> None:
        sys.stdout, sys.stderr = io.StringIO(), io.StringIO()

    def readouterr(self) -> _Captured:
        """What was printed since the last time."""
        texts = _Captured(stream.getvalue() for stream in (sys.stdout, sys.stderr) if isinstance(stream, io.StringIO))
        sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
        return texts


def _give_monkeypatch() -> Iterator[MonkeyPatch]:
    patch = MonkeyPatch()
    yield patch
    patch.undo()


def _give_path() -> pathlib.Path:
    import tempfile

    return pathlib.Path(tempfile.mkdtemp())


def _add_finalizers() -> Iterator[Any]:
    raise _unsupported("the fixture request")
    yield


_BUILT_IN = {
    "monkeypatch": _Fixture(_give_monkeypatch, False, "monkeypatch"),
    "capsys": _Fixture(CapSys, False, "capsys"),
    "tmp_path": _Fixture(_give_path, False, "tmp_path"),
    "request": _Fixture(_add_finalizers, False, "request"),
}


class _Test:
    """One test function with one set of parameters."""

    def __init__(self, function: Any, owner: Any, values: dict[str, Any], fixtures: dict[str, _Fixture], xfail: bool) -> None:
        self.function, self.owner, self.values, self.fixtures, self.xfail = function, owner, values, fixtures, xfail
        self.made: dict[str, Any] = {}
        self.open: list[Any] = []
        self.instance: Any = None

    def __call__(self) -> None:
        """Runs it; raises where it does not hold."""
        # What it prints is nobody's; what is patched is set back by its fixtures.
        sys.stdout = io.StringIO()
        try:
            if self.owner is not None:
                self.instance = self.owner()
                self._call_if_there(self.owner, "setup_class")
                self._call_if_there(self.instance, "setup_method", self.function)
            else:
                self._call_if_there(_state["module"], "setup_module", _state["module"])
                self._call_if_there(_state["module"], "setup_function", self.function)
            for name, each in self.fixtures.items():
                if each.autouse:
                    self._give(name)
            function = self.function if self.instance is None else self.function.__get__(self.instance)
            arguments = {name: self._give(name) for name in _list_parameters(function)}
            result = function(**arguments)
            if inspect.iscoroutine(result):
                raise _unsupported("an async test")
        finally:
            for each in reversed(self.open):
                next(each, None)
            if self.instance is not None:
                self._call_if_there(self.instance, "teardown_method", self.function)
            else:
                self._call_if_there(_state["module"], "teardown_function", self.function)

    def _give(self, name: str) -> Any:
        if name in self.values:
            return self.values[name]
        if name not in self.made:
            if name not in self.fixtures:
                raise _unsupported(f"the fixture {name}")
            function = self.fixtures[name].function
            if self.instance is not None and next(iter(inspect.signature(function).parameters), "") == "self":
                function = function.__get__(self.instance)
            value = function(**{each: self._give(each) for each in _list_parameters(function)})
            if inspect.isgenerator(value):
                self.open.append(value)
                value = next(value)
            self.made[name] = value
        return self.made[name]

    @staticmethod
    def _call_if_there(owner: Any, name: str, argument: Any = None) -> None:
        function = getattr(owner, name, None)
        if function is not None:
            function(*[argument][: len(inspect.signature(function).parameters)])


def _list_parameters(function: Any) -> list[str]:
    if isinstance(function, type) and function is CapSys:
        return []
    return [
        name
        for name, each in inspect.signature(function).parameters.items()
        if each.default is each.empty and each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
    ]


def collect(source: str, scope: dict[str, Any], judge: Any, unsupported: Any) -> list[Any]:
    """Runs a test module and lists its tests, each to be called."""
    global _unsupported  # noqa: PLW0603 (this module is made anew in every process)
    _unsupported = unsupported
    module = type(sys)("test_solution")
    sys.modules["test_solution"] = module
    module.__dict__.update({name: value for name, value in scope.items() if not name.startswith("__")})
    _state.update(judge=judge, module=module)
    _check_imports(source)
    exec(compile(source, "<tests>", "exec", dont_inherit=True), module.__dict__)
    fixtures = {**_BUILT_IN, **_take_fixtures(module)}
    tests: list[Any] = []
    for name, value in list(module.__dict__.items()):
        if name.startswith("test") and inspect.isfunction(value):
            tests += _expand(value, None, fixtures, getattr(value, "_marks", ()))
        elif name.startswith("Test") and isinstance(value, type) and value.__module__ == "test_solution":
            mine = {**fixtures, **_take_fixtures(value)}
            marks = getattr(value, "_marks", ())
            for method, function in [(each, getattr(value, each)) for each in _list_members(value)]:
                if method.startswith("test") and inspect.isfunction(function):
                    tests += _expand(function, value, mine, (*getattr(function, "_marks", ()), *marks))
    return tests


def _list_members(kind: type) -> list[str]:
    return list(dict.fromkeys(name for each in reversed(kind.__mro__) for name in each.__dict__))


def _take_fixtures(owner: Any) -> dict[str, _Fixture]:
    found = [getattr(owner, name) for name in _list_members(owner)] if isinstance(owner, type) else owner.__dict__.values()
    return {each.name: each for each in found if type(each) is _Fixture}


def _check_imports(source: str) -> None:
    import ast

    for node in ast.walk(ast.parse(source)):
        names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            if node.level:
                raise _unsupported("a relative import")
            names = [node.module or ""]
        for name in names:
            top = name.partition(".")[0]
            if top in ("solution", "pytest", "__future__"):
                continue
            if top in _MISSING_MODULES:
                raise _unsupported(f"import {name}")
            try:
                __import__(name)
            except ImportError:
                raise _unsupported(f"import {name}") from None
        if isinstance(node, (ast.AsyncFunctionDef, ast.Await)):
            raise _unsupported("an async test")


def _expand(function: Any, owner: Any, fixtures: dict[str, _Fixture], marks: Any) -> list[_Test]:
    xfail = False
    sets: list[list[dict[str, Any]]] = []
    for each in marks:
        if each.name == "skip" or (each.name == "skipif" and any(each.args)):
            return []
        xfail = xfail or each.name == "xfail"
        if each.name == "parametrize":
            sets.append(_read_sets(*each.args, **each.kwargs))
    if xfail:
        raise _unsupported("pytest.mark.xfail")
    tests = []
    for combination in itertools.product(*sets):
        values = {name: value for part in combination for name, value in part.items()}
        tests.append(_Test(function, owner, values, fixtures, xfail))
    return tests


def _read_sets(names: Any, values: Any, **_: Any) -> list[dict[str, Any]]:
    listed = [name.strip() for name in names.split(",") if name.strip()] if isinstance(names, str) else list(names)
    single = len(listed) == 1 and isinstance(names, str)
    sets = []
    for each in values:
        if isinstance(each, _Parameters):
            if any(mark.name in ("skip", "skipif", "xfail") for mark in each.marks):
                continue
            given = each.values
        else:
            given = (each,) if single else tuple(each)
        if len(given) != len(listed):
            raise _unsupported(f"parametrize of {', '.join(listed)} with {len(given)} values")
        sets.append(dict(zip(listed, given, strict=True)))
    return sets
