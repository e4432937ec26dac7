"""The end of the pipes in the tests' process: references the candidate's objects by number and recreates its exceptions."""

from __future__ import annotations

import builtins
import copy
import inspect
import io
import sys
import types
from typing import Any

from rewards.programs.inside.isolated_tests.codec import BUILT_IN, Decoder, Encoder, find_classes, take_plain
from rewards.programs.inside.isolated_tests.foreign import BASES, FUNCTION_ATTRIBUTES, OPERATORS, describe_class
from rewards.programs.inside.isolated_tests.peer import Peer, Unsupported
from rewards.programs.inside.isolated_tests.remote import SHOWN, Remote
from rewards.programs.inside.isolated_tests.subclassing import Derived, Subclassing

_TEST_MODULES = ("test_solution", "prelude")


def _assign(value: Any, name: str, content: Any) -> None:
    """Set an attribute of a test's object, or add one to a test's class, but replace nothing that its class defines."""
    kinds = (value if isinstance(value, type) else type(value)).__mro__
    defined = next((each.__dict__[name] for each in kinds if name in each.__dict__ and each is not object), None)
    is_described = isinstance(value, type) and name in ("__repr__", "__str__")
    if (name.startswith("_") and not is_described) or callable(defined) or hasattr(defined, "__get__"):
        raise AttributeError(f"{name} cannot be replaced")
    setattr(value, name, content)


class ErrorType(type):
    """The type of exception classes of the program."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(cls._solution_class, name)


def _is_open(kind: type) -> bool:
    """Check whether the candidate may use the public members of instances: of classes of the tests, and of files."""
    return kind.__module__ in _TEST_MODULES or issubclass(kind, io.IOBase)


class TestsPeer(Peer):
    shared_tag = "o"

    def __init__(self, reader: int, writer: int, scope: dict[str, Any]) -> None:
        super().__init__(reader, writer, find_classes(scope))
        self._remotes: dict[int, Remote] = {}
        self._errors: dict[int, type] = {}
        self._given: list[Any] = []
        # Containers of the tests' objects that the candidate has read.
        self._lent: list[Any] = []
        self.subclassing = Subclassing(self)

    def set_attributes(self, value: Any, contents: dict[str, Any]) -> None:
        # The candidate's attributes must not replace methods of the prelude's class.
        kind = type(value)
        for name in contents:
            held = getattr(kind, name, None)
            if name.startswith("__") or callable(held) or isinstance(held, property):
                raise ValueError(name)
        super().set_attributes(value, contents)

    def list_held(self, encoder: Encoder) -> dict[str, int]:
        return self.number_nodes(encoder, self._lend)

    def find_held(self, number: int) -> Any:
        return self._lent[number]

    def _lend(self, value: Any) -> int:
        number = next((number for number, each in enumerate(self._lent) if each is value), None)
        if number is None:
            number = len(self._lent)
            self._lent.append(value)
        return number

    def find_base(self, kind: type) -> type:
        """Return the container type that an instance of a test's class is copied as."""
        if kind.__module__ in _TEST_MODULES:
            return next((base for base in (list, dict, set) if issubclass(kind, base)), kind)
        return kind

    def export(self, value: Any) -> Any:
        if type(value) is Remote:
            return ["o", value._remote_number]
        if isinstance(value, Derived):
            return ["o", value._solution._remote_number]
        number = getattr(value, "_solution_number", None)
        if number is not None:
            return ["o", number]
        module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
        is_library = str(module).partition(".")[0] in sys.stdlib_module_names
        if is_library and name and getattr(sys.modules.get(str(module)), name, None) is value:
            return ["n", module, name]
        kind = type(value)
        if isinstance(value, type) and value.__module__ in _TEST_MODULES:
            return ["m", describe_class(value, self._give, _TEST_MODULES)]
        if _is_open(kind):
            return ["p", self._give(value), describe_class(kind, self._give, _TEST_MODULES)]
        if isinstance(value, types.FunctionType):
            return ["k", self._give(value), value.__name__, value.__doc__]
        if callable(value) or hasattr(value, "__next__") or kind is object:
            return ["k", self._give(value)]
        raise Unsupported(f"a {kind.__name__} as an argument")

    def _give(self, value: Any) -> int:
        number = next((number for number, each in enumerate(self._given) if each is value), None)
        if number is None:
            number = len(self._given)
            self._given.append(value)
        return number

    def resolve(self, data: list[Any]) -> Any:
        tag = data[0]
        if tag == "o":
            number, kind = data[1], data[2]
            if type(number) is not int or (kind not in ("", *SHOWN) and getattr(builtins, kind) not in BUILT_IN):
                raise ValueError(data)
            if number in self.subclassing.classes:
                return self.subclassing.classes[number]
            if number not in self._remotes:
                self._remotes[number] = Remote(self, number, kind)
            return self._remotes[number]
        if tag == "k":
            return self._given[data[1]]
        if tag == "h":
            return self._shared[data[1]][0]
        if tag == "l":
            return self._lent[data[1]]
        return self._find_error_class(data)

    def _find_error_class(self, data: list[Any]) -> type:
        """Return the class if it is in the standard library, else a class with the same name and bases."""
        if data[0] == "n":
            found = getattr(sys.modules.get(data[1]), data[2], Exception)
            if data[1].partition(".")[0] not in sys.stdlib_module_names:
                found = Exception
            return found if isinstance(found, type) and (issubclass(found, BaseException) or found is object) else Exception
        if data[0] != "x" or type(data[1]) is not int:
            raise ValueError(data)
        if data[1] not in self._errors:
            bases = tuple(self._find_error_class(each) for each in data[3:])
            contents = {
                "_solution_number": data[1],
                "__module__": "solution",
                "__init__": self._make_initializer(data[1]),
                "__str__": lambda self: self.__dict__.get("_text", None) or BaseException.__str__(self),
                "__getattr__": _get_error_attribute,
            }
            contents["_solution_class"] = self.resolve(["o", data[1], "type"])
            self._errors[data[1]] = ErrorType(str(data[2]), bases, contents)
        return self._errors[data[1]]

    def _make_initializer(self, number: int) -> Any:
        """Return the constructor of an exception class, for exceptions that the tests create."""

        def initialize(error: Any, *args: Any, **kwargs: Any) -> None:
            made, text, held = self.ask("error", self.resolve(["o", number, "type"]), args, kwargs)
            error.args = tuple(made)
            error.__dict__.update(_text=str(text), _remote=self.resolve(["o", held, ""]), _solution_number=held)

        return initialize

    def make_error(self, data: Any, decoder: Decoder) -> BaseException:
        if isinstance(data, int):
            raised: BaseException = self._given[data]
            return raised
        kind = self._find_error_class(data[0])
        args = tuple(decoder.item(each) for each in data[1])
        if not issubclass(kind, BaseException):
            raise ValueError(data)  # noqa: TRY004 (an invalid message)
        try:
            error = kind(*args) if data[0][0] == "n" else kind.__new__(kind, *args)
        except Exception:
            error = Exception(str(data[2]))
        error.args = args
        if data[0][0] == "x":
            error.__dict__.update(_text=str(data[2]), _remote=self.resolve(["o", data[3], ""]), _solution_number=data[3])
        if data[4] is not None:
            error.__cause__ = self.make_error(data[4], decoder)
        return error

    def describe(self, error: BaseException, encoder: Encoder | None) -> Any:
        names = [kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins"]
        if type(error).__module__ in _TEST_MODULES and not hasattr(error, "_solution_number"):
            return self.export(error)
        return [names[0], str(error), getattr(error, "_solution_number", None)]

    def answer(self, question: str, args: list[Any]) -> Any:
        given = self._given[args[0]]
        if question == "callback":
            return given(*args[1], **args[2])
        if question == "step":
            return next(given)
        # Only objects of the tests' own classes have members that the candidate may use, and none that lead to the tests.
        if question == "function" and isinstance(given, types.FunctionType) and args[1] in FUNCTION_ATTRIBUTES:
            return inspect.signature(given) if args[1] == "__signature__" else getattr(given, args[1])
        if question == "plain" and isinstance(given, BASES):
            return next(take_plain(base, given) for base in BASES if isinstance(given, base))
        if not _is_open(given if isinstance(given, type) else type(given)):
            raise AttributeError(args[1])
        if question == "copy":
            return (copy.copy if args[1] == "copy" else copy.deepcopy)(given)
        if question == "members":
            return {name: value for name, value in vars(given).items() if not name.startswith("_")}
        if question == "assign":
            return _assign(given, str(args[1]), args[2])
        if str(args[1]).startswith("_") != (question == "operate"):
            raise AttributeError(args[1])
        if question == "operate":
            return OPERATORS[args[1]](given, *args[2])
        if question == "member":
            return self._find_member(given, args[1])
        raise ValueError(question)

    def _find_member(self, value: Any, name: str) -> Any:
        found = getattr(value, name)
        try:
            Encoder(self).item(found)
        except Unsupported:
            raise AttributeError(name) from None
        return found

    def name(self, name: str) -> Any:
        """Return the value of a global name in the program."""
        try:
            value = self.ask("name", name)
        except KeyError:
            raise AttributeError(f"module 'solution' has no attribute {name!r}") from None
        if type(value) is Remote:
            object.__setattr__(value, "_remote_name", name)
        return value


class Solution(type(sys)):  # type: ignore[misc]
    """The module `solution` that tests import."""

    def __init__(self, peer: TestsPeer) -> None:
        super().__init__("solution")
        self.__dict__["_peer"] = peer

    def __getattr__(self, name: str) -> Any:
        if name == "__all__":
            # `from solution import *` must not replace what the tests use, such as `abs` or `pytest`.
            kept = self.__dict__.get("_kept", set()) | builtins.__dict__.keys()
            return [each for each in self._peer.ask("names") if each not in kept]
        if name.startswith("__"):
            raise AttributeError(name)
        return self._peer.name(name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("__"):  # set by the import system
            self.__dict__[name] = value
        else:
            self._peer.ask("rename", name, value)


def _get_error_attribute(error: Any, name: str) -> Any:
    remote = error.__dict__.get("_remote")
    if remote is None or name.startswith("__"):
        raise AttributeError(name)
    return getattr(remote, name)
