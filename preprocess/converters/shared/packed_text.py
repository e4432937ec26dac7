"""Texts that LiveCodeBench packs: pickled, compressed, and in base64. They are read without unpickling."""

from __future__ import annotations

import base64
import binascii
import pickletools
import zlib

from preprocess.errors import RowError

_MOST_BYTES = 1_000_000_000
_ALLOWED = {"PROTO", "FRAME", "EMPTY_DICT", "MEMOIZE", "BINPUT", "LONG_BINPUT", "SETITEM", "STOP"}
_TEXTS = {"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
"""Instructions of pickles of a text, or of a dict whose last value is the text. Others could run code."""


def unpack_text(packed: str, column: str) -> str:
    """Return the last text of a packed column.

    Raises:
        RowError: it is not packed in this way; names the column.
    """
    try:
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(base64.b64decode(packed, validate=True), _MOST_BYTES)
        if not unpacker.eof:
            raise RowError(f"{column}: more than {_MOST_BYTES:,} bytes, or truncated")
        texts = []
        for code, argument, _ in pickletools.genops(data):
            if code.name in _TEXTS:
                texts.append(str(argument))
            elif code.name not in _ALLOWED:
                raise RowError(f"{column}: a pickle of something else than a text: {code.name}")
    except (binascii.Error, zlib.error, ValueError) as error:
        if isinstance(error, RowError):
            raise
        raise RowError(f"{column}: neither JSON nor a packed text: {error}") from None
    if not texts:
        raise RowError(f"{column}: a pickle without a text")
    return texts[-1]
