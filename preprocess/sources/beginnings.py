"""What the beginning of a file shows about it: its encoding, its packing, and whether it is JSON lines."""

from __future__ import annotations

import codecs
import json
import shlex
from pathlib import Path

from preprocess.errors import SourceError

# UTF-32 first: its byte order mark begins with that of UTF-16.
_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
_ENCODINGS = {
    b"\0\1\0\1": "UTF-16LE",
    b"\1\0\1\0": "UTF-16BE",
    b"\0\1\1\1": "UTF-32LE",
    b"\1\1\1\0": "UTF-32BE",
}
"""1 for each of the first four bytes that is zero: JSON begins with two ASCII characters."""
_PACKINGS = {
    b"\x1f\x8b": "gzip data; end its name with .gz",
    b"\x28\xb5\x2f\xfd": "zstd data; unpack it with `zstd -d`",
    b"\xfd7zXZ\x00": "xz data; unpack it with `xz -d`",
    b"BZh": "bzip2 data; unpack it with `bzip2 -d`",
    b"PK\x03\x04": "a zip archive; unpack it with `unzip`",
    b"PAR1": "parquet data; end its name with .parquet",
    b"ARROW1": "Arrow data; write it as parquet",
}


def check_beginning(path: Path, data: bytes) -> None:
    """Check that a JSON file can be read as UTF-8, and that its records are not spread over several lines.

    Args:
        path: The file.
        data: Its first bytes, unpacked if the file is gzipped.

    Raises:
        SourceError: It has another encoding, is packed, or is one object over several lines; names the remedy.
    """
    if found := next((text for magic, text in _PACKINGS.items() if data.startswith(magic)), None):
        raise SourceError(f"{path}: {found}")
    encoding = next((name for mark, name in _MARKS.items() if data.startswith(mark)), None)
    encoding = encoding or _ENCODINGS.get(bytes(byte == 0 for byte in data[:4]))
    if encoding is not None:
        command = f"iconv -f {encoding} -t UTF-8 {shlex.quote(path.name)}"
        raise SourceError(f"{path}: encoded as {encoding}, expected UTF-8; convert it with `{command}`")
    lines = data.removeprefix(codecs.BOM_UTF8).split(b"\n", 2)
    if len(lines) > 1 and _is_open(lines[0]) and not _is_json(lines[1]):
        raise SourceError(
            f"{path}:1: an object over several lines, expected one object per line or a list of objects; "
            f"write it in one line with `jq -c . {shlex.quote(path.name)}`"
        )


def _is_open(line: bytes) -> bool:
    """Return whether the line is valid JSON that ends before its object does."""
    text = line.decode("utf-8", "replace").rstrip()
    if not text.startswith("{"):
        return False
    try:
        json.loads(text)
    except RecursionError:
        return False
    except json.JSONDecodeError as error:
        # Python 3.13 points at a comma at the end.
        return error.pos >= len(text.removesuffix(","))
    return False


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True
