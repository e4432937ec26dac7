"""A JSON list of any length, read element by element in bounded memory."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from preprocess.errors import SourceError

_PIECE = 1_000_000
_LONGEST = 64_000_000
_SPACE = " \t\n\r"


def split_list(file: IO[bytes], path: Path) -> Iterator[bytes]:
    """Yield the text of each element, without line breaks.

    Raises:
        SourceError: The file is not a JSON list, not UTF-8, or incomplete; names the line.
    """
    return _Splitter(file, path).split()


class _Splitter:
    def __init__(self, file: IO[bytes], path: Path) -> None:
        self.file, self.path = file, path
        self.decoder = json.JSONDecoder()
        self.utf8 = codecs.getincrementaldecoder("utf-8-sig")()
        self.text, self.place, self.line = "", 0, 1
        self.ended = False

    def split(self) -> Iterator[bytes]:
        opening = self._peek()
        if opening != "[":
            raise self._error(f"begins with {opening!r}, expected a list `[` of objects (or name it .jsonl)")
        self.place += 1
        if self._peek() == "]":
            self.place += 1
        else:
            while True:
                yield self._take_element()
                following = self._peek()
                self.place += 1
                if following == "]":
                    break
                if following != ",":
                    raise self._error(f"expected , or ] after an element, found {following!r}" if following else "cut short")
        if self._peek():
            raise self._error(f"{self._peek()!r} after the end of the list")

    def _take_element(self) -> bytes:
        self._peek()
        while True:
            try:
                _, end = self.decoder.raw_decode(self.text, self.place)
                # A number may continue in the next piece.
                if end < len(self.text) or self.ended:
                    break
                failure = ""
            except json.JSONDecodeError as error:
                failure = str(error.msg)
            except RecursionError:
                raise self._error("an element is nested too deeply") from None
            if not self._read_more():
                raise self._error(f"not JSON in the element that begins here: {failure}")
        text = self.text[self.place : end]
        self._pass(end)
        # Only between tokens: in a string a line break is written \n.
        return text.replace("\n", " ").encode("utf-8")

    def _peek(self) -> str:
        """Return the next character that is not a space; empty at the end."""
        while True:
            place = self.place
            while place < len(self.text) and self.text[place] in _SPACE:
                place += 1
            self._pass(place)
            if place < len(self.text):
                return self.text[place]
            if not self._read_more():
                return ""

    def _pass(self, place: int) -> None:
        self.line += self.text.count("\n", self.place, place)
        self.place = place

    def _read_more(self) -> bool:
        """Read another piece and drop the text that was passed; return False at the end."""
        if self.ended:
            return False
        held = len(self.text) - self.place
        if held > _LONGEST:
            raise self._error(f"an element of more than {_LONGEST:,} characters, or one that is not closed")
        # Double the text, so that a long element is not decoded many times.
        data = self.file.read(max(_PIECE, held))
        try:
            more = self.utf8.decode(data, not data)
        except UnicodeDecodeError as error:
            raise self._error(f"not UTF-8: {error.reason}") from None
        self.ended = not data
        self.text, self.place = self.text[self.place :] + more, 0
        return True

    def _error(self, message: str) -> SourceError:
        return SourceError(f"{self.path}:{self.line}: {message}")
