"""alpaca: instructions with answers, from any source; options name the columns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from preprocess.converters.base import Converter, Options
from preprocess.converters.shared.conversations import check_text_only, make_conversation, rename_columns
from preprocess.errors import LeftOutError, RowError
from preprocess.rows import SftRow, Turn
from preprocess.sources.decoding import MissingColumnError

_PAIRS = (
    ("instruction", "output"),
    ("instruction", "response"),
    ("prompt", "completion"),
    ("prompt", "response"),
    ("question", "answer"),
)
"""Columns of an instruction and its answer, if no option names them."""
_MEDIA = ("images", "image", "videos", "audios")


class AlpacaOptions(Options, frozen=True, kw_only=True):
    """Columns of an example."""

    instruction: str | None = None
    """Column of the instruction; default: `instruction`, `prompt` or `question`, whichever exists with its answer."""
    output: str | None = None
    """Column of the answer; default: `output` or `response`, `completion` or `response`, or `answer`."""
    input: str | None = None
    """Column of the input, which follows the instruction on a new line; default: `input`, if it exists."""
    system: str | None = None
    """Column of the system message; default: `system`, if it exists."""
    history: str | None = None
    """Column of the previous turns, a list of [question, answer]; default: `history`, if it exists."""


class Example(msgspec.Struct, gc=False, kw_only=True):
    """An instruction and its answer."""

    instruction: str | None = None
    output: str | None = None
    input: str | None = None
    system: str | None = None
    history: list[tuple[str, str]] | None = None
    prompt: str | None = None
    completion: str | None = None
    response: str | None = None
    question: str | None = None
    answer: str | None = None
    weight: float | None = None
    images: Any = None
    image: Any = None
    videos: Any = None
    audios: Any = None


def _find_record(options: AlpacaOptions) -> type[Example]:
    columns = msgspec.structs.asdict(options)
    if not _are_named(options):
        return rename_columns(Example, columns)
    named = {"instruction": options.instruction or "instruction", "output": options.output or "output"}
    return rename_columns(Example, {**columns, **named}, dict.fromkeys(named, str))


def _are_named(options: AlpacaOptions) -> bool:
    return options.instruction is not None or options.output is not None


def _sft(record: Example, options: AlpacaOptions) -> Iterable[SftRow]:
    check_text_only({name: getattr(record, name) for name in _MEDIA})
    if record.weight == 0:
        raise LeftOutError("it has weight 0")
    instruction, output = _find_pair(record, options)
    question = "\n".join(part for part in (instruction, record.input) if part)
    if not question.strip():
        raise RowError("the instruction is empty")
    turns = []
    for asked, answered in [*(record.history or ()), (question, output)]:
        turns += [Turn("human", asked), Turn("gpt", answered)]
    return [make_conversation(turns, record.system)]


def _find_pair(record: Example, options: AlpacaOptions) -> tuple[str, str]:
    """Return the instruction and its answer.

    Raises:
        RowError: A column is missing, or several pairs of columns may be meant.
    """
    pairs = _PAIRS[:1] if _are_named(options) else _PAIRS
    found = [pair for pair in pairs if all(getattr(record, column) is not None for column in pair)]
    if not found:
        asked = next((pair[0] for pair in pairs if getattr(record, pair[0]) is not None), None)
        if asked is None:
            raise MissingColumnError("no instruction", list(dict.fromkeys(pair[0] for pair in pairs)))
        raise MissingColumnError("no answer", [pair[1] for pair in pairs if pair[0] == asked])
    if len(found) > 1 and found[0] != _PAIRS[0]:
        named = " and ".join("/".join(pair) for pair in found[:2])
        raise RowError(f"it has the columns {named}; choose by the options instruction and output")
    asked, answered = found[0]
    return getattr(record, asked), getattr(record, answered)


ALPACA = Converter(
    "alpaca",
    "instructions with their answers, of any source",
    _find_record,
    AlpacaOptions,
    sft=_sft,
)
