"""Extract the answer and the code from a response of the form `<reasoning>…</reasoning><answer>…</answer>`.

Responses are untrusted, so every function runs in linear time.
"""

from __future__ import annotations

import re

_OPEN, _CLOSE = "<answer>", "</answer>"
_TAGS = ("<reasoning>", "</reasoning>", _OPEN, _CLOSE)
# Matched only when each tag occurs exactly once; with many tags it would backtrack quadratically.
_FORM = re.compile(r"\s*<reasoning>.*?</reasoning>\s*<answer>.*?</answer>\s*", re.DOTALL)
_FENCE_END = r"^```[ \t]*\r?$"
_BLOCK = re.compile(rf"^```[A-Za-z0-9_+-]*[ \t]*\r?\n(.*?){_FENCE_END}", re.DOTALL | re.MULTILINE)


def is_well_formed(response: str) -> bool:
    """Check that the response is one reasoning block, then one answer block, and nothing else."""
    return all(response.count(tag) == 1 for tag in _TAGS) and _FORM.fullmatch(response) is not None


def make_response(answer: str, reasoning: str = "…") -> str:
    """Return a response in that form."""
    return f"<reasoning>\n{reasoning}\n</reasoning>\n{_OPEN}\n{answer}\n{_CLOSE}"


def take_answer(response: str) -> str | None:
    """Return the stripped text between the last pair of answer tags, or None without a pair."""
    end = response.rfind(_CLOSE)
    start = response.rfind(_OPEN, 0, max(end, 0))
    return response[start + len(_OPEN) : end].strip() if start >= 0 else None


def take_lines(answer: str) -> list[str]:
    """Return the stripped lines of an answer, without code fences and empty lines."""
    lines = [line.strip() for line in answer.split("\n")]
    return [line for line in lines if line and not line.startswith("```")]


def take_code(response: str) -> str | None:
    """Return the program in a response: the last fenced block of the answer, or the whole answer without a fence.

    In a response without answer tags, only a fenced block counts. Returns None without a program.
    """
    answer = take_answer(response)
    text = response if answer is None else answer
    # Without the text after the last end, every start has an end, and the search takes linear time.
    end = max((match.end() for match in re.finditer(_FENCE_END, text, re.MULTILINE)), default=0)
    blocks = _BLOCK.findall(text[:end])
    return blocks[-1] if blocks else answer or None
