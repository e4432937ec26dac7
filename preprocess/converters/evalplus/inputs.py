"""Restore types that JSON does not have: EvalPlus writes tuples, sets and complex numbers of MBPP+ as lists and texts."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from preprocess.errors import RowError

Restore = Callable[[Any], Any]
"""Turns the list of arguments, or a part of it, into its types."""

_INFINITY = re.compile(rb"(?<=[\[, ])(-?Infinity)(?=[\], ])")


def restore_types(task_id: str, inputs: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Return the inputs of a problem with their types.

    Raises:
        RowError: an input does not have the form of the others.
    """
    restore = _RESTORED.get(task_id)
    if restore is None:
        return [list(each) for each in inputs]
    try:
        return [list(restore(list(each))) for each in inputs]
    except (TypeError, ValueError, IndexError, AttributeError) as error:
        raise RowError(f"an input of {task_id} has another form than in EvalPlus: {error}") from None


def quote_infinities(record: bytes) -> bytes:
    """Return a record as JSON, which has no infinities."""
    return _INFINITY.sub(rb'"\1"', record)


def _each(restore: Restore) -> Restore:
    return lambda items: [restore(item) for item in items]


def _first(restore: Restore) -> Restore:
    return lambda given: [restore(given[0]), *given[1:]]


def _second(restore: Restore) -> Restore:
    return lambda given: [given[0], restore(given[1]), *given[2:]]


def _deep_tuple(value: Any) -> Any:
    return tuple(map(_deep_tuple, value)) if isinstance(value, list) else value


def _tuple_if_list(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


# As `mbpp_deserialize_inputs` of EvalPlus, by the numbers of the problems. An empty set is an empty dict there, too. Mbpp/404
# has infinities, which `quote_infinities` makes texts.
_FORMS: list[tuple[Restore, tuple[int, ...]]] = [
    (
        _each(tuple),
        (2, 116, 132, 143, 222, 261, 273, 394, 399, 421, 424, 429, 470, 560, 579, 596, 616, 630, 726, 740, 744, 809),
    ),
    (_each(_each(tuple)), (63, 64, 70, 94, 120, 237, 272, 299, 400, 409, 417, 438, 473, 614, 780)),
    (_first(_each(tuple)), (75, 413, 444, 753)),
    (_second(tuple), (106, 750)),
    (_first(_each(lambda item: set(item) if isinstance(item, list) and item else {})), (115,)),
    (lambda given: [float(given[0]), complex(given[1])], (124,)),
    (_first(tuple), (250, 307, 405, 446, 617, 720, 763, 808)),
    (_each(lambda items: tuple(map(tuple, items))), (259, 401, 445)),
    (_first(lambda items: tuple(map(_tuple_if_list, items))), (278,)),
    (_first(lambda items: {key: tuple(value) for key, value in items.items()}), (722,)),
    (_first(complex), (252,)),
    (_each(_deep_tuple), (580, 615, 791)),
    (_each(lambda item: float(item) if isinstance(item, str) else item), (404,)),
]
_RESTORED = {f"Mbpp/{number}": restore for restore, numbers in _FORMS for number in numbers}
