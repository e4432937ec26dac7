"""cruxeval: CRUXEval's functions, traced into questions about their execution."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from preprocess.converters.base import Converter
from preprocess.converters.shared.execution import ExecutionOptions, Exercise, make_exercises
from preprocess.rows import RlRow, SftRow


class Function(msgspec.Struct, gc=False):
    """A function called `f`, with one call."""

    code: str
    input: str
    """Source of the arguments."""
    output: str
    """Source of the value."""
    id: str


def _ask(record: Function, options: ExecutionOptions) -> Iterator[Exercise]:
    return make_exercises(record.code, "f", record.input, record.output, _name(record), options)


def _name(record: Function) -> str:
    return f"cruxeval/{record.id}"


def _sft(record: Function, options: ExecutionOptions) -> Iterable[SftRow]:
    return [each.to_sft(_name(record)) for each in _ask(record, options)]


def _rl(record: Function, options: ExecutionOptions) -> Iterable[RlRow]:
    return [each.to_rl(_name(record), "cruxeval") for each in _ask(record, options)]


CRUXEVAL = Converter(
    "cruxeval",
    "CRUXEval's functions: what a call returns and how it runs",
    Function,
    ExecutionOptions,
    _sft,
    _rl,
    runs_programs=True,
)
