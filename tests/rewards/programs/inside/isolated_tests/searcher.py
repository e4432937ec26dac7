"""A candidate that reads all of its own memory, page by page, and returns which of the given texts it contains.

It runs in the sandbox. Both the given texts and the searched memory have every byte changed, so that the search itself leaves
no copy of a text in memory.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator

KEY = 0x5A
HIDE = bytes(byte ^ KEY for byte in range(256))
PAGE = 4096
WIDEST_GAP = 1 << 27
LIBC = ctypes.CDLL(None)
LIBC.sbrk.restype = ctypes.c_void_p
PIPE = os.pipe()


def read(page: int) -> bytes:
    """Return the content of a page, or nothing if it is not mapped. The kernel reads it, so a bad address does not crash."""
    count = LIBC.write(PIPE[1], ctypes.c_void_p(page * PAGE), PAGE)
    return os.read(PIPE[0], count) if count > 0 else b""


def walk(page: int, step: int, tried: set[int]) -> Iterator[bytes]:
    """Yield pages in one direction, across small gaps, up to a wide gap or a page already read."""
    gap = 0
    while gap < WIDEST_GAP // PAGE and page > 0 and page not in tried:
        tried.add(page)
        content = read(page)
        yield content
        gap = 0 if content else gap + 1
        page += step


def find_places() -> list[int]:
    """Return an address in each memory region: objects, heap, libraries, interpreter and stack."""
    large, small = ctypes.create_string_buffer(1 << 20), ctypes.create_string_buffer(8)
    functions = [ctypes.cast(LIBC.malloc, ctypes.c_void_p).value, ctypes.c_void_p.in_dll(LIBC, "environ").value]
    stack = ctypes.c_void_p.in_dll(LIBC, "__libc_stack_end").value
    places = [id(object()), id([]), id(int), id(read), ctypes.addressof(large), ctypes.addressof(small), LIBC.sbrk(0), stack]
    return [place for place in (*places, *functions) if place]


def search(texts: dict[str, str]) -> list[str]:
    """Return the names of the texts that were found. `texts` has their changed bytes in hexadecimal."""
    wanted = {name: bytes.fromhex(digits) for name, digits in texts.items()}
    longest = max(map(len, wanted.values()))
    found, tried = set(), set[int]()
    for place in find_places():
        for step in (1, -1):
            near = b""
            for content in walk(place // PAGE - (step < 0), step, tried):
                # A text may cross a page boundary.
                hidden = content.translate(HIDE)
                near = hidden and (near[-longest:] + hidden if step > 0 else hidden + near[:longest])
                found |= {name for name, text in wanted.items() if text in near}
    return sorted(found)
