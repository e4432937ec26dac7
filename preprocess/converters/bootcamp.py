"""bootcamp: InternBootcamp's generated puzzles, for the reward of the same name."""

from __future__ import annotations

import functools
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
    prompt = record.prompt
    messages = (Message("user", prompt),) if isinstance(prompt, str) else prompt
    problem = messages[-1].content if messages else ""
    if options.system and messages and messages[0].role != "system":
        messages = (Message("system", options.system), *messages)
    return [
        RlRow(
            problem=problem,
            data_source=_name_source(record.data_source),
            prompt=messages,
            ground_truth=record.ground_truth,
            ability="puzzle",
        )
    ]


@functools.lru_cache(1024)
def _name_source(name: str) -> str:
    """Return the data source in the form of the reward.

    Raises:
        RowError: the reward would not accept it.
    """
    bootcamp = name.removeprefix(_PREFIX)
    if not bootcamp.isidentifier():
        raise RowError(f"data_source is {name!r}, expected a bootcamp's name such as Game24")
    return _PREFIX + bootcamp


BOOTCAMP = Converter(
    "bootcamp",
    "InternBootcamp's puzzles, from a file or a folder of its generators' JSON lines",
    Puzzle,
    BootcampOptions,
    rl=_rl,
)
