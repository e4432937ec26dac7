"""What a row says and shows: the texts and the code in which rows are compared with one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from preprocess.filters.function_bodies import find_code
from preprocess.rows import RlRow, Row


@dataclass(frozen=True)
class Contents:
    """What is compared of a row."""

    texts: tuple[str, ...]
    code: tuple[str, ...]


class _Truth(msgspec.Struct):
    """What a ground truth tells of the program that it is about."""

    func_str: str = ""


_truths = msgspec.json.Decoder(_Truth)


def take_apart(row: Row) -> Contents:
    """What a row says and shows: its turns, or its prompt, its solution and the program that its truth is about."""
    if not isinstance(row, RlRow):
        return find_contents([turn.value for turn in row.conversations])
    texts = [message.content for message in row.prompt]
    if isinstance(solution := row.detail.get("solution"), str):
        texts.append(solution)
    return find_contents(texts, [_find_program(row)])


def find_contents(texts: Sequence[str], code: Sequence[str] = ()) -> Contents:
    """The texts, and the code in them beside the code given."""
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
