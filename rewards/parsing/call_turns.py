"""The text of a turn that calls tools, in a form that LLaMA-Factory reads. Imports only the standard library.

A turn is JSON text of `{name, arguments}`, or of a list of them. A thought `<think>…</think>` may come before it. With any
other text before it, the JSON text is between `<tool_call>` and `</tool_call>`. Results of parallel calls are joined by
`SEPARATOR`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

SEPARATOR = "\n</tool_response>\n<tool_response>\n"
"""Between the results of parallel calls, as LLaMA-Factory's converter of OpenAI messages joins them."""

_THOUGHT = re.compile(r"\s*<think>.*?</think>\s*", re.DOTALL)
_MARKED = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)
_TAG = re.compile(r"<(?=/?(?:think|tool_call)>)")


def join_call(text: str, calls: str) -> str:
    """Return the turn of a text or thought, which may be empty, and the JSON text of the calls that follow it."""
    # LLaMA-Factory searches for the tags in the whole turn.
    calls = _TAG.sub("\\\\u003c", calls)
    if not text or _THOUGHT.fullmatch(text):
        return f"{text}{calls}"
    return f"{text.removesuffix(chr(10))}\n<tool_call>{calls}</tool_call>"


def split_call(turn: str) -> tuple[str, str]:
    """Return the text before the calls of a turn, and their JSON text."""
    if marked := _MARKED.search(turn):
        return turn[: marked.start()] + turn[marked.end() :], marked[1]
    thought = _THOUGHT.match(turn)
    return (thought[0], turn[thought.end() :]) if thought else ("", turn)


def join_results(results: Sequence[str]) -> str:
    """Return one turn of the results of parallel calls."""
    return SEPARATOR.join(results)


def split_results(turn: str) -> list[str]:
    """Return the results in a turn."""
    return turn.split(SEPARATOR)
