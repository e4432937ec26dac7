"""Digests of files, to detect changed inputs; atomic writes of text files."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path

from pipelines.errors import file_error
from preprocess import atomic

CARD = "README.md"
"""The model card in a model folder."""

CARD_MARK = "# Written by code-post-training."
"""In the second line of the cards that this project writes. Such a card is in no digest: evaluations are added to it later."""

_CARD_HEAD_BYTES = 100


def write_atomically(path: Path, text: str) -> None:
    """Write a text file; a reader sees the old file or the complete new one.

    Raises:
        StepError: the file could not be written; the old file is unchanged.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_text(path, text)
    except OSError as error:
        raise file_error(f"cannot write {path}: {error.strerror}; the old file is unchanged", error) from None


def is_card(path: Path) -> bool:
    """Return whether a file is a model card that this project wrote."""
    if path.name != CARD:
        return False
    with path.open("rb") as file:
        return CARD_MARK.encode() in file.read(_CARD_HEAD_BYTES)


def digest_text(text: str) -> str:
    """Return a digest of a text, 16 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Digests:
    """Content digests of files and folders, cached by size and modification time.

    Args:
        memory: the cache file.
    """

    def __init__(self, memory: Path) -> None:
        self._memory = memory
        self._known: dict[str, tuple[int, int, str]] = {}
        self._changed = False
        with suppress(IndexError, KeyError, TypeError):  # a later version may write another form
            self._known = {k: (v[0], v[1], v[2]) for k, v in (atomic.read_json(memory) or {}).items()}

    def of(self, path: Path) -> str | None:
        """Return the digest of a file, or of a folder's names and contents; None if it does not exist.

        The model card that this project writes is left out. A link to a snapshot in the hub's cache has the digest of its
        commit.
        A relative path has no digest: it is a hub name, and a folder of that name in the current folder is something else.
        """
        if path.is_absolute() and path.is_file():
            return self._of_file(path)
        if not path.is_absolute() or not path.is_dir():
            return None
        if path.is_symlink() and (snapshot := path.resolve()).parent.name == "snapshots":
            return digest_text(f"snapshot {snapshot.name}")
        files = sorted(p for p in path.rglob("*") if p.is_file() and not is_card(p))
        return digest_text("\n".join(f"{p.relative_to(path)} {self._of_file(p)}" for p in files))

    def save(self) -> None:
        """Write the cache file."""
        if self._changed:
            write_atomically(self._memory, json.dumps(self._known))
            self._changed = False

    def _of_file(self, path: Path) -> str:
        stat = path.stat()
        known = self._known.get(str(path))
        if known is not None and known[:2] == (stat.st_size, stat.st_mtime_ns):
            return known[2]
        with path.open("rb") as source:
            digest = hashlib.file_digest(source, "sha256").hexdigest()[:16]
        self._known[str(path)] = (stat.st_size, stat.st_mtime_ns, digest)
        self._changed = True
        return digest
