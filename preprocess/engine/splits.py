"""The split into training and validation rows, by problem: no problem is in both.

Whether a problem is held out depends only on the seed, the share and its name: not on the other problems or the order of
the files. So stages that share a source share the split, and a source that grows keeps it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import xxhash

from preprocess.errors import SourceError
from preprocess.sources.reading import list_files

Split = Literal["train", "validation"]
SPLITS: tuple[Split, Split] = ("train", "validation")

_BYTES = 8
_WORDS: dict[str, Split] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing", "validation", "valid", "val", "dev", "eval"), "validation"),
}


@dataclass(frozen=True)
class Whole:
    """The rule that puts all rows into one split, except those of excluded problems."""

    split: Split
    excluded: frozenset[bytes] = frozenset()

    def digest(self, problem: str) -> bytes:
        """Return a short name of the problem."""
        return _digest(problem)

    def choose(self, digest: bytes) -> Split | None:
        """Return the problem's split; None if its rows are in neither."""
        return None if digest in self.excluded else self.split

    def report(self, digests: set[bytes]) -> list[bytes]:
        """Return those digests of a chunk that are needed later: validation problems, which are excluded from training."""
        return sorted(digests) if self.split == "validation" else []


@dataclass(frozen=True)
class Share:
    """The rule that holds out the problems whose digest is below a limit; its methods are as those of `Whole`."""

    seed: int
    limit: bytes

    @classmethod
    def of(cls, fraction: float, seed: int) -> Share:
        """Return the rule that holds out about that share of the problems."""
        return cls(seed, int(fraction * 256**_BYTES).to_bytes(_BYTES, "big"))

    def digest(self, problem: str) -> bytes:
        return _digest(problem, self.seed)

    def choose(self, digest: bytes) -> Split | None:
        return "validation" if digest < self.limit else "train"

    def report(self, digests: set[bytes]) -> list[bytes]:
        """Return the lowest and highest digest, from which `move` gets a limit that leaves no split empty."""
        return [min(digests), max(digests)] if digests else []

    def move(self, lowest: bytes, highest: bytes) -> Share:
        """Return the rule with the nearest limit that leaves a problem in each split; the two digests must differ."""
        above_lowest = (int.from_bytes(lowest, "big") + 1).to_bytes(_BYTES, "big")
        return Share(self.seed, min(max(self.limit, above_lowest), highest))


SplitRule = Whole | Share


def find_files(source: Path, split: Split | None) -> list[Path]:
    """Return the source's files, or those of one split, by the names of the files and of their folders in the source.

    Raises:
        SourceError: A file's split is unknown.
    """
    files = list_files(source)
    if split is None:
        return files
    splits = {path: _find_split(path, source) for path in files}
    unclear = next((path for path, found in splits.items() if found is None), None)
    if unclear is not None:
        raise SourceError(f"{unclear}: neither its name nor a folder contains train, test or validation")
    return [path for path, found in splits.items() if found == split]


def _find_split(path: Path, source: Path) -> Split | None:
    """Return the split of the last word that gives one."""
    relative = path.relative_to(source) if path != source else Path(path.name)
    words = re.split(r"[^A-Za-z]+", str(relative))
    return next((_WORDS[word.lower()] for word in reversed(words) if word.lower() in _WORDS), None)


def _digest(text: str, seed: int = 0) -> bytes:
    return xxhash.xxh3_64_digest(text.encode("utf-8", "surrogatepass"), seed % 2**64)
