"""alpaca: instructions with their answers, of any source; the options name the columns."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from preprocess.converters.base import Converter, Options
from preprocess.converters.shared.mapping import rename
from preprocess.errors import RowError
from preprocess.rows import SftRow, Turn


class AlpacaOptions(Options, frozen=True, kw_only=True):
    """Where the parts of an example lie."""

    instruction: str = "instruction"
    """Column of what is asked for."""
    output: str = "output"
    """Column of the answer."""
    input: str | None = None
    """Column of what it is asked about; `input`, where there is one, if not said. It follows the instruction on a new line."""
    system: str | None = None
    """Column of the system message; `system`, where there is one, if not said."""
    history: str | None = None
    """Column of the turns before, a list of [question, answer]; `history`, where there is one, if not said."""


class Example(msgspec.Struct, gc=False):
    """An instruction and its answer."""

    instruction: str
    output: str
    input: str | None = None
    system: str | None = None
    history: list[tuple[str, str]] | None = None


def _find_record(options: AlpacaOptions) -> type[Example]:
    return rename(Example, msgspec.structs.asdict(options))


def _sft(record: Example, options: AlpacaOptions) -> Iterable[SftRow]:
    question = "\n".join(part for part in (record.instruction, record.input) if part)
    if not question.strip():
        raise RowError("the instruction is empty")
    turns = []
    for asked, answered in [*(record.history or ()), (question, record.output)]:
        turns += [Turn("human", asked), Turn("gpt", answered)]
    return [SftRow(turns[0].value, tuple(turns), record.system or None)]


ALPACA = Converter(
    "alpaca",
    "instructions with their answers, of any source",
    _find_record,
    AlpacaOptions,
    sft=_sft,
)
