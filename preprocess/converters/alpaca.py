"""alpaca: instructions with answers, from any source; options name the columns."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from preprocess.converters.base import Converter, Options
from preprocess.converters.shared.conversations import make_conversation, rename_columns
from preprocess.errors import RowError
from preprocess.rows import SftRow, Turn


class AlpacaOptions(Options, frozen=True, kw_only=True):
    """Columns of an example."""

    instruction: str = "instruction"
    """Column of the instruction."""
    output: str = "output"
    """Column of the answer."""
    input: str | None = None
    """Column of the input, which follows the instruction on a new line; default: `input`, if it exists."""
    system: str | None = None
    """Column of the system message; default: `system`, if it exists."""
    history: str | None = None
    """Column of the previous turns, a list of [question, answer]; default: `history`, if it exists."""


class Example(msgspec.Struct, gc=False):
    """An instruction and its answer."""

    instruction: str
    output: str
    input: str | None = None
    system: str | None = None
    history: list[tuple[str, str]] | None = None


def _sft(record: Example, options: AlpacaOptions) -> Iterable[SftRow]:
    question = "\n".join(part for part in (record.instruction, record.input) if part)
    if not question.strip():
        raise RowError("the instruction is empty")
    turns = []
    for asked, answered in [*(record.history or ()), (question, record.output)]:
        turns += [Turn("human", asked), Turn("gpt", answered)]
    return [make_conversation(turns, record.system)]


ALPACA = Converter(
    "alpaca",
    "instructions with their answers, of any source",
    lambda options: rename_columns(Example, msgspec.structs.asdict(options)),
    AlpacaOptions,
    sft=_sft,
)
