"""Which rows validate: decided by problem, so that none is on both sides.

Whether a problem is held out depends on the seed, the share and its name alone: not on the other problems, nor on the
order of the files. So stages that share a source share the split, and a source that grows keeps it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import xxhash

from preprocess.errors import SourceError
from preprocess.sources.reading import list_files

Split = Literal["train", "validation"]
SPLITS: tuple[Split, Split] = ("train", "validation")

_BYTES = 8
_WORDS: dict[str, Split] = {
    "train": "train",
    "training": "train",
    "test": "validation",
    "testing": "validation",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "eval": "validation",
}


class SplitRule(Protocol):
    """Says on which side a row is."""

    def digest(self, problem: str) -> bytes:
        """A short name of the problem."""
        ...

    def choose(self, digest: bytes) -> Split | None:
        """The side; None for a row that may be on neither."""
        ...

    def report(self, digests: set[bytes]) -> list[bytes]:
        """What has to be known of the problems of a chunk when all is converted."""
        ...


@dataclass(frozen=True)
class Whole:
    """All rows are on one side, but for those whose problem is on the other."""

    split: Split
    excluded: frozenset[bytes] = frozenset()

    def digest(self, problem: str) -> bytes:
        """As `SplitRule` says."""
        return _digest(problem)

    def choose(self, digest: bytes) -> Split | None:
        """As `SplitRule` says."""
        return None if digest in self.excluded else self.split

    def report(self, digests: set[bytes]) -> list[bytes]:
        """The validation rows' problems, which are kept out of training."""
        return sorted(digests) if self.split == "validation" else []


@dataclass(frozen=True)
class Share:
    """Problems whose digest lies under a limit validate."""

    seed: int
    limit: bytes

    @classmethod
    def of(cls, fraction: float, seed: int) -> Share:
        """The rule that holds out about that share of the problems."""
        return cls(seed, int(fraction * 256**_BYTES).to_bytes(_BYTES, "big"))

    def digest(self, problem: str) -> bytes:
        """As `SplitRule` says."""
        return _digest(problem, self.seed)

    def choose(self, digest: bytes) -> Split | None:
        """As `SplitRule` says."""
        return "validation" if digest < self.limit else "train"

    def report(self, digests: set[bytes]) -> list[bytes]:
        """The outermost: from them the limit is moved when a side would have no row."""
        return [min(digests), max(digests)] if digests else []

    def move(self, lowest: bytes, highest: bytes) -> Share:
        """The same, but with at least one problem on each side; the two must differ."""
        above_lowest = (int.from_bytes(lowest, "big") + 1).to_bytes(_BYTES, "big")
        return Share(self.seed, min(max(self.limit, above_lowest), highest))


def find_files(source: Path, split: Split | None) -> list[Path]:
    """The source's files, or those for one side: a file's name, or one of its folders under the source, says which.

    Raises:
        SourceError: a file says neither.
    """
    files = list_files(source)
    if split is None:
        return files
    sides = {path: _find_split(path, source) for path in files}
    unclear = next((path for path, side in sides.items() if side is None), None)
    if unclear is not None:
        raise SourceError(f"{unclear}: neither its name nor its folder says train, test or validation")
    return [path for path, side in sides.items() if side == split]


def _find_split(path: Path, source: Path) -> Split | None:
    """The innermost word counts."""
    relative = path.relative_to(source) if path != source else Path(path.name)
    words = re.split(r"[^A-Za-z]+", str(relative))
    return next((_WORDS[word.lower()] for word in reversed(words) if word.lower() in _WORDS), None)


def _digest(text: str, seed: int = 0) -> bytes:
    return xxhash.xxh3_64_digest(text.encode("utf-8", "surrogatepass"), seed % 2**64)
