"""Standard output and error, whatever their encoding: characters that it lacks are written in ASCII."""

from __future__ import annotations

import codecs
import os
import sys

_HANDLER = "pipeline-ascii"

_ASCII = {
    "…": "...",
    "±": "+-",
    "█": "#",
    "▌": "#",
    "—": "-",
    "─": "-",
    "│": "|",
    "├": "|",
    "╰": "`",
    "▶": ">",
    "·": ".",
    "≠": "!=",
}
"""Characters that this project prints, and others for them."""


def prepare_streams() -> None:
    """Make standard output and error writable with any text; a closed one discards it.

    The programs that this process starts write UTF-8: a response that a trainer prints must not end it.
    """
    if sys.getfilesystemencoding() != "utf-8" and os.environ.get("PYTHONUTF8") != "1":
        _restart()
    codecs.register_error(_HANDLER, _to_ascii)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by the caller
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 (until the process ends)
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_HANDLER)
    if "PYTHONIOENCODING" in os.environ:
        os.environ["PYTHONIOENCODING"] = "utf-8"


def _restart() -> None:
    """Restart this process in Python's UTF-8 mode: paths with other characters could not be written to files."""
    os.environ |= {"PYTHONUTF8": "1", "PYTHONIOENCODING": sys.stdout.encoding if sys.stdout else "utf-8"}
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _to_ascii(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    found = error.object[error.start : error.end]
    return "".join(map(_replace, found)), error.end


def _replace(char: str) -> str:
    if "\u2800" <= char <= "\u28ff":  # of a spinner: an escape would take six columns
        return "*"
    return _ASCII.get(char) or char.encode("ascii", "backslashreplace").decode()
