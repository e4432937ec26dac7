"""Turn the value that a program returned into JSON data, without running any code of the program."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would slow down every run
    from typing import Any

_JSON_ATOMS = {int, str, bool, float, type(None)}


def pack(value: Any) -> Any:
    """Return the value as JSON data, with other types as an object of one key, `{kind: content}`.

    An instance of a derived class becomes its plain value. No method or property of the value is called.
    """
    kind = type(value)
    if kind in _JSON_ATOMS:
        return {"i": hex(value)} if kind is int and abs(value) > 1 << 64 else value
    if issubclass(kind, list):
        kinds = set(map(type, list.__iter__(value)))
        if kind is list and (kinds <= _JSON_ATOMS - {int} or (kinds == {int} and max(map(abs, value)) < 1 << 64)):
            return value
        return [pack(item) for item in list.__iter__(value)]
    if issubclass(kind, dict):
        return {"d": [[pack(key), pack(item)] for key, item in dict.items(value)]}
    containers: tuple[tuple[Any, str], ...] = ((tuple, "t"), (set, "s"), (frozenset, "f"))
    for container, name in containers:
        if issubclass(kind, container):
            return {name: [pack(item) for item in container.__iter__(value)]}
    for container in (bytes, bytearray):
        if issubclass(kind, container):
            return {"b": list(container.__iter__(value))}
    if issubclass(kind, complex):
        return {"c": [complex.real.__get__(value), complex.imag.__get__(value)]}
    if issubclass(kind, int):
        return pack(int.__index__(value))
    if issubclass(kind, float):
        return float.__float__(value)
    if issubclass(kind, str):
        return str.__str__(value)
    raise TypeError(f"a {kind.__name__} is not plain data")
