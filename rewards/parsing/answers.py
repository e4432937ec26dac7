"""Extract the answer and the program from a response of the form `<reasoning>…</reasoning><answer>…</answer>`.

`<think>…</think>` is not part of a response, Windows line ends are read as `\\n`, and byte order marks are removed. Responses
are untrusted, so every function runs in linear time.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from rewards.parsing.blocks import Block, read_blocks
from rewards.parsing.programs import choose_program

_OPEN, _CLOSE = "<answer>", "</answer>"
_TAGS = ("<reasoning>", "</reasoning>", _OPEN, _CLOSE)
# Matched only when each tag occurs exactly once; with many tags it would backtrack quadratically.
_FORM = re.compile(r"\s*<reasoning>.*?</reasoning>\s*<answer>.*?</answer>\s*", re.DOTALL)
# At the start of a line, because a program may have the tag in a string. Without an end, the response was cut while thinking.
_THINK = re.compile(r"^[ \t]*<think>.*?(?:</think>|\Z)", re.DOTALL | re.MULTILINE)
# Chat templates may write the opening tag into the prompt.
_THINK_END = re.compile(r"</think>(?![\"'`\\])")
_FENCE_BEFORE = re.compile(r"^\s*(?:`{3,}|~{3,})\s*(?:python3?\s|py\s)?\s*(?=assert\b)")
_FENCE_END = re.compile(r"(?<=[^\s`])[ \t]*`{3,}[ \t]*$")
_MARK = re.compile(r"(?:^|(?<=<answer>))\ufeff", re.MULTILINE)


def is_well_formed(response: str) -> bool:
    """Check that the response is one reasoning block, then one answer block, and nothing else."""
    return all(response.count(tag) == 1 for tag in _TAGS) and _FORM.fullmatch(response) is not None


def make_response(answer: str, reasoning: str = "…") -> str:
    """Return a response in that form."""
    return f"<reasoning>\n{reasoning}\n</reasoning>\n{_OPEN}\n{answer}\n{_CLOSE}"


def normalise(text: str) -> str:
    r"""Return a text with `\n` at the ends of lines, and without byte order marks."""
    return _MARK.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def take_answer(response: str) -> str | None:
    """Return the stripped text between the last pair of answer tags, or None without a pair."""
    answer = _find_answer(_clean(response))
    return None if answer is None else answer.strip()


def take_blocks(response: str) -> list[Block]:
    """Return the fenced blocks of the answer."""
    return read_blocks(_find_answer(_clean(response)) or "")


def take_lines(answer: str) -> list[str]:
    """Return the lines of an answer, with the spaces at their ends, without code fences and empty lines.

    An assertion after an opening fence, and what precedes a closing fence, stay.
    """
    bare = (_FENCE_END.sub("", _FENCE_BEFORE.sub("", line)) for line in answer.split("\n"))
    return [line for line in bare if line.strip() and not line.lstrip().startswith(("```", "~~~"))]


def take_code(response: str, names: Collection[str] = ()) -> str | None:
    """Return the program in a response, or None without one.

    It is in the fenced blocks of the answer (see `choose_program`), or is the whole answer without such a block. In a response
    without a complete pair of answer tags, only fenced blocks count.

    Args:
        response: The response.
        names: Functions and classes that the program must define.
    """
    text = _clean(response)
    answer = _find_answer(text)
    blocks = read_blocks(text.rpartition(_OPEN)[2] if answer is None else answer)
    return choose_program(blocks, names) if blocks else (answer or "").strip() or None


def _find_answer(text: str) -> str | None:
    end = text.rfind(_CLOSE)
    start = text.rfind(_OPEN, 0, max(end, 0))
    return text[start + len(_OPEN) : end] if start >= 0 else None


def _clean(response: str) -> str:
    """Return a response without what the model thought."""
    text = _THINK.sub("", normalise(response))
    return text[max((each.end() for each in _THINK_END.finditer(text)), default=0) :]
