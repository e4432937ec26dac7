"""The texts and the code of a row that are compared with those of other rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from preprocess.filters.function_bodies import find_code
from preprocess.rows import RlRow, Row


@dataclass(frozen=True)
class Contents:
    """The compared parts of a row."""

    texts: tuple[str, ...]
    code: tuple[str, ...]


class _Truth(msgspec.Struct):
    """The program of a ground truth."""

    func_str: str = ""


_truths = msgspec.json.Decoder(_Truth)


def row_contents(row: Row) -> Contents:
    """Return a conversation's turns, or the prompt, solution and program of an rl row."""
    if not isinstance(row, RlRow):
        return find_contents([turn.value for turn in row.conversations])
    texts = [message.content for message in row.prompt]
    if isinstance(solution := row.detail.get("solution"), str):
        texts.append(solution)
    return find_contents(texts, [_find_program(row)])


def find_contents(texts: Sequence[str], code: Sequence[str] = ()) -> Contents:
    """Return the texts, the code in them and the given code."""
    found = [block for text in texts for block in find_code(text)]
    return Contents(tuple(texts), tuple(dict.fromkeys([*found, *filter(None, code)])))


def _find_program(row: RlRow) -> str:
    truth = row.ground_truth
    if isinstance(truth, msgspec.Raw):
        try:
            return _truths.decode(truth).func_str
        except msgspec.MsgspecError:
            return ""
    program = truth.get("func_str", "")
    return program if isinstance(program, str) else ""
