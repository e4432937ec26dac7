"""Samples of a stage: responses with their rewards, a few per training step and the same rows of each validation.

One file per step, `samples/train/STEP.jsonl` and `samples/validation/STEP.jsonl` of a stage: a line with the `Header`, then one
`Sample` per line, the responses to a prompt one after the other. A step that is trained again replaces its file.

verl's processes write them: the standard library and msgspec only.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from preprocess import atomic

Split = Literal["train", "validation", "evaluation"]

VERSION = 1
"""Version of the files' layout."""

LONGEST_RESPONSE = 32_000
"""Characters kept of a response: its beginning and its end."""

LONGEST_PROMPT = 16_000
LONGEST_TRUTH = 2_000
LONGEST_REASON = 2_000


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of a file."""

    version: int = VERSION
    split: Split
    step: int
    samples: int
    """Lines that follow."""
    responses: int
    """Responses of the step, kept or not."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """A response with its reward."""

    split: Split
    step: int
    """The training step; of a validation, the steps trained before it; of an evaluation, 0."""
    source: str
    """The row's data source."""
    row: str
    """The row's id."""
    group: int
    """Number of the prompt within the step, from 0; its responses are one after the other."""
    number: int
    """Number of the response within its group, from 0."""
    prompt: str
    response: str
    """The whole text with the replies of tools; if it is very long, without its middle, with a line that says so."""
    omitted: int = 0
    """Characters of the response left out."""
    score: float
    """The reward that the trainer used."""
    values: dict[str, float] = {}
    """What else the rewards returned: `accuracy`, `format`, `failed`, `<name>_score`, …"""
    reason: str = ""
    """Why it has this score: the failing test, expected and found; empty: the rewards gave no reason."""
    tokens: int
    """Of the response; those of tool replies are not counted."""
    prompt_tokens: int = 0
    cut: bool = False
    """Whether generation ended at the limit of tokens or turns."""
    truth: str = ""
    """The row's ground truth, shortened."""
    calls: int = 0
    """Of the tool."""


def samples_file(folder: Path, split: Split, step: int) -> Path:
    """Return the file of a step in a stage's folder of samples."""
    return folder / split / f"{step}.jsonl"


def write_samples(folder: Path, split: Split, step: int, samples: Sequence[Sample], responses: int) -> None:
    """Write the samples of a step; a reader sees the old file or the complete new one.

    Args:
        folder: The stage's folder of samples.
        responses: How many responses the step has, kept or not.

    Raises:
        OSError: The file cannot be written.
    """
    header = Header(split=split, step=step, samples=len(samples), responses=responses)
    encode = msgspec.json.Encoder().encode
    path = samples_file(folder, split, step)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic.replacement(path, fsync=False) as temporary:
        temporary.write_bytes(b"".join(encode(each) + b"\n" for each in (header, *samples)))


def forget_after(folder: Path, step: int) -> None:
    """Delete the samples of the steps after this one, which a resumed training trains again; all of them after 0."""
    for file in folder.glob("*/*.jsonl"):
        if file.stem.isdigit() and (not step or int(file.stem) > step):
            file.unlink(missing_ok=True)
    for split in folder.glob("*/"):
        atomic.sweep(split)


def shorten(text: str, longest: int = LONGEST_RESPONSE) -> tuple[str, int]:
    """Return a text that can be written as UTF-8, and how many characters are left out.

    Of a long one, the middle is left out; a line between the two halves says so.
    """
    omitted = max(0, len(text) - longest)
    if omitted:
        end = longest // 2
        text = f"{text[: longest - end]}\n[… {omitted:,} characters left out …]\n{text[-end:]}"
    return text.encode("utf-8", "replace").decode("utf-8"), omitted
