"""Memory for what one program must not find in the process that it is forked from: the bytes of earlier programs.

The worker that forks programs keeps their sources, inputs and outputs only here, in pages outside of Python's heap, and
never makes Python objects of them.
"""

from __future__ import annotations

import mmap
import os
from functools import partial

_SMALLEST = 1 << 16
KEPT = 1 << 20
"""Bytes whose pages are kept for the next program. A buffer with more content is cleared."""
_PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
_all: list[Buffer] = []
"""Keeps every buffer: a forked process that freed one would unmap what it has mapped there since."""


class Buffer:
    """A region of memory that grows. Its content is not copied into forked processes (madvise(2), MADV_DONTFORK)."""

    _ADVICE: int | None = mmap.MADV_DONTFORK

    def __init__(self) -> None:
        self._allocate(_SMALLEST)
        _all.append(self)

    def reserve(self, size: int) -> None:
        """Make it at least this long, and keep its content."""
        if size > len(self.view):
            old = self.view
            self._allocate(max(size, 2 * len(old)))
            self.view[: len(old)] = old

    def _allocate(self, size: int) -> None:
        self.map = mmap.mmap(-1, size, flags=_PRIVATE)
        if self._ADVICE is not None:
            self.map.madvise(self._ADVICE)
        self.view = memoryview(self.map)
        # An attribute, not a method: calling a function writes to pages of its own.
        self.clear = partial(self.map.madvise, mmap.MADV_DONTNEED)
        """Forgets the content: the kernel drops its pages."""


class SharedBuffer(Buffer):
    """The same for what the next forked process needs: it is copied, and must be cleared after the fork."""

    _ADVICE = None


def find_last_line(buffer: Buffer, length: int) -> tuple[int, int]:
    """Return the begin and the end of the last line in the first `length` bytes, without white space at its end."""
    data, end = buffer.map, length
    while end and data[end - 1] in b" \t\r\n":
        end -= 1
    return data.rfind(b"\n", 0, end) + 1, end


def write_all(descriptor: int, data: memoryview) -> None:
    """Write all of it to a file."""
    while data:
        data = data[os.write(descriptor, data) :]
