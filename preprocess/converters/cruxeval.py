"""cruxeval: CRUXEval's functions (code, input, output, id), traced into questions about their execution."""

from __future__ import annotations

from collections.abc import Iterable

from preprocess.converters.base import Converter, Fields, get_text
from preprocess.converters.execution import ExecutionOptions, check_length, make_rl, make_sft
from preprocess.errors import RowError
from preprocess.rows import RlRow, SftRow
from preprocess.tracing.trace import Trace, trace
from rewards.literals import NotLiteralError, is_same, read_literal


def _trace(fields: Fields, options: ExecutionOptions) -> Trace:
    code, given, wanted = (get_text(fields, column) for column in ("code", "input", "output"))
    check_length(code, options)
    result = trace(code, "f", [given])[0]
    if isinstance(result, str):
        raise RowError(result)
    try:
        same = is_same(read_literal(result.value), read_literal(wanted))
    except NotLiteralError as error:
        raise RowError(f"output: {error}") from error
    if not same:
        raise RowError(f"it returns {result.value[:80]}, the row says {wanted[:80]}")
    return result


def _sft(fields: Fields, options: ExecutionOptions) -> Iterable[SftRow]:
    name = f"cruxeval/{get_text(fields, 'id')}"
    return [make_sft(_trace(fields, options), name, name, options)]


def _rl(fields: Fields, options: ExecutionOptions) -> Iterable[RlRow]:
    name = f"cruxeval/{get_text(fields, 'id')}"
    return [make_rl(_trace(fields, options), name, name, "cruxeval", options)]


CRUXEVAL = Converter(
    "cruxeval",
    "CRUXEval's functions: what a call returns and how it runs",
    ExecutionOptions,
    _sft,
    _rl,
    ("code", "input", "output", "id"),
    runs_programs=True,
)
