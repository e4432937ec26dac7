"""Taking the answer and the code out of a response of the form `<reasoning>…</reasoning><answer>…</answer>`."""

from __future__ import annotations

import re

_FORM = re.compile(r"\s*<reasoning>(.*?)</reasoning>\s*<answer>(.*?)</answer>\s*", re.DOTALL)
_TAGS = ("<reasoning>", "</reasoning>", "<answer>", "</answer>")
_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_FENCE = re.compile(r"^```[A-Za-z0-9_+-]*[ \t]*\n(.*?)^```[ \t]*$", re.DOTALL | re.MULTILINE)


def is_well_formed(response: str) -> bool:
    """Whether the response is one reasoning and one answer, in this order, and nothing else."""
    return _FORM.fullmatch(response) is not None and all(response.count(tag) == 1 for tag in _TAGS)


def take_answer(response: str) -> str | None:
    """The text between the last pair of answer tags, without the space around it; None where there is no pair."""
    answers = _ANSWER.findall(response)
    return answers[-1].strip() if answers else None


def take_lines(answer: str) -> list[str]:
    """The lines of an answer that say something: code fences and empty lines left out, space around lines removed."""
    lines = [line.strip() for line in answer.splitlines()]
    return [line for line in lines if line and not line.startswith("```")]


def take_code(response: str) -> str | None:
    """The program in a response: the last fenced block of the answer, or the whole answer where nothing is fenced.

    A response without answer tags is searched for a fenced block as a whole. None where there is no program.
    """
    answer = take_answer(response)
    blocks = _FENCE.findall(response if answer is None else answer)
    if blocks:
        return str(blocks[-1])
    return answer or None
