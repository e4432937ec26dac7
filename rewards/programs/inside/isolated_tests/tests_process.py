"""The end of the pipes in the tests' process: references the candidate's objects by number and recreates its exceptions."""

from __future__ import annotations

import builtins
import sys
from typing import Any

from rewards.programs.inside.isolated_tests.codec import BUILT_IN, TYPES, Decoder, Encoder, find_classes
from rewards.programs.inside.isolated_tests.peer import Peer, Unsupported
from rewards.programs.inside.isolated_tests.remote import Remote

_NAMED_MODULES = ("builtins", "operator", "math", "functools", "string", "itertools")


class TestsPeer(Peer):
    def __init__(self, reader: int, writer: int, scope: dict[str, Any]) -> None:
        super().__init__(reader, writer, find_classes(scope))
        self._remotes: dict[int, Remote] = {}
        self._errors: dict[int, type] = {}
        self._given: list[Any] = []

    def set_attributes(self, value: Any, contents: dict[str, Any]) -> None:
        # The candidate's attributes must not replace methods of the prelude's class.
        kind = type(value)
        for name in contents:
            held = getattr(kind, name, None)
            if name.startswith("__") or callable(held) or isinstance(held, property):
                raise ValueError(name)
        super().set_attributes(value, contents)

    def export(self, value: Any) -> Any:
        if type(value) is Remote:
            return ["o", value._remote_number]
        number = getattr(value, "_solution_number", None)
        if number is not None:
            return ["o", number]
        module, name = getattr(value, "__module__", None), getattr(value, "__name__", None)
        if module in _NAMED_MODULES and getattr(sys.modules.get(module), str(name), None) is value:
            return ["n", module, name]
        if callable(value) or hasattr(value, "__next__"):
            self._given.append(value)
            return ["k", len(self._given) - 1]
        raise Unsupported(f"a {type(value).__name__} as an argument")

    def resolve(self, data: list[Any]) -> Any:
        tag = data[0]
        if tag == "o":
            number, kind = data[1], data[2]
            if type(number) is not int or (kind not in ("", "generator") and getattr(builtins, kind) not in BUILT_IN):
                raise ValueError(data)
            if number not in self._remotes:
                self._remotes[number] = Remote(self, number, kind)
            return self._remotes[number]
        if tag == "k":
            return self._given[data[1]]
        if tag == "n" and data[1] == "builtins":
            found = type(None) if data[2] == "NoneType" else getattr(builtins, data[2])
            if found in TYPES or (isinstance(found, type) and issubclass(found, BaseException)):
                return found
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
                "__str__": lambda self: self.__dict__.get("_text", None) or BaseException.__str__(self),
                "__getattr__": _get_error_attribute,
            }
            self._errors[data[1]] = type(str(data[2]), bases, contents)
        return self._errors[data[1]]

    def make_error(self, data: Any, decoder: Decoder) -> BaseException:
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
        return error

    def describe(self, error: BaseException, encoder: Encoder) -> Any:
        names = [kind.__name__ for kind in type(error).__mro__ if kind.__module__ == "builtins"]
        return [names[0], str(error)]

    def answer(self, question: str, args: list[Any]) -> Any:
        if question == "callback":
            return self._given[args[0]](*args[1], **args[2])
        if question == "step":
            return next(self._given[args[0]])
        raise ValueError(question)

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
            return self._peer.ask("names")
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
