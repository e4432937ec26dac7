"""bootcamp: InternBootcamp's generated puzzles, for the reward of the same name."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from preprocess.converters.base import Converter, Options
from preprocess.errors import RowError
from preprocess.rows import Message, RlRow

_PREFIX = "bootcamp/"


class BootcampOptions(Options, frozen=True, kw_only=True):
    """Options of the prompts."""

    system: str = (
        "Think first, inside <think> and </think>. After that write the solution, step by step, "
        "and give the final answer in the form that the question asks for."
    )
    """System message of prompts without one: the reward gives 0 without `</think>`. Empty: no system message, for models
    that use these tags by default."""


class Puzzle(msgspec.Struct, gc=False):
    """A generated puzzle."""

    data_source: str
    """The bootcamp, with or without the prefix `bootcamp/`."""
    prompt: str | tuple[Message, ...]
    ground_truth: msgspec.Raw
    """The parameters of the puzzle: any JSON, kept unchanged."""


def _rl(record: Puzzle, options: BootcampOptions) -> Iterable[RlRow]:
    bootcamp = record.data_source.removeprefix(_PREFIX)
    if not bootcamp.isidentifier():
        raise RowError(f"data_source is {record.data_source!r}, expected a bootcamp's name such as Game24")
    prompt = record.prompt
    messages = (Message("user", prompt),) if isinstance(prompt, str) else prompt
    problem = messages[-1].content if messages else ""
    if options.system and messages and messages[0].role != "system":
        messages = (Message("system", options.system), *messages)
    return [
        RlRow(
            problem=problem, data_source=_PREFIX + bootcamp, prompt=messages, ground_truth=record.ground_truth, ability="puzzle"
        )
    ]


BOOTCAMP = Converter(
    "bootcamp",
    "InternBootcamp's puzzles, from a file or a folder of its generators' JSON lines",
    Puzzle,
    BootcampOptions,
    rl=_rl,
)
