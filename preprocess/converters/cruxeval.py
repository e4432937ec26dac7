"""cruxeval: CRUXEval's functions, traced into questions about their execution."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from preprocess.converters.shared.execution import ExecutionOptions, Exercise, make_converter, make_exercises


class Function(msgspec.Struct, gc=False):
    """A function called `f`, with one call."""

    code: str
    input: str
    """Source of the arguments."""
    output: str
    """Source of the value."""
    id: str


def _ask(record: Function, options: ExecutionOptions) -> Iterator[Exercise]:
    name = f"cruxeval/{record.id}"
    return make_exercises(record.code, "f", record.input, record.output, name, name, options)


CRUXEVAL = make_converter(
    "cruxeval", "CRUXEval's functions: what a call returns and how it runs", Function, ExecutionOptions, "cruxeval", _ask
)
