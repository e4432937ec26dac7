"""Read the samples of a stage: responses with their rewards, over the steps of its training."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from pipelines.trainers.base import StagePaths
from pipelines.trainers.samples import Header, Sample, Split, samples_file

__all__ = ["Header", "Sample", "Split", "read_headers", "read_samples", "sample_steps"]

_Line = TypeVar("_Line", Header, Sample)


def sample_steps(paths: StagePaths, split: Split) -> list[int]:
    """Return the steps with samples, in order, by the names of their files; empty: the run kept none."""
    return sorted(int(file.stem) for file in (paths.samples / split).glob("*.jsonl") if file.stem.isdigit())


def read_headers(paths: StagePaths, split: Split) -> Iterator[Header]:
    """Yield how many samples each step has, in order, without reading them."""
    for step in sample_steps(paths, split):
        header = next(_lines(samples_file(paths.samples, split, step), Header), None)
        if header is not None:
            yield header


def read_samples(paths: StagePaths, split: Split, steps: Collection[int] | None = None) -> Iterator[Sample]:
    """Yield the samples of a stage by step and prompt; lines that a full disk has torn are skipped.

    Args:
        paths: The stage's.
        split: Those of training or of validation.
        steps: Only those of these steps; None: of all.
    """
    for step in sample_steps(paths, split) if steps is None else sorted(set(steps)):
        yield from _lines(samples_file(paths.samples, split, step), Sample)


def _lines(file: Path, kind: type[_Line]) -> Iterator[_Line]:
    """Yield the lines that are of this kind; others, and a file that has been deleted meanwhile, are skipped."""
    decoder = msgspec.json.Decoder(kind)
    try:
        with file.open("rb") as lines:
            for line in lines:
                try:
                    yield decoder.decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError):
                    continue
    except FileNotFoundError:
        return
