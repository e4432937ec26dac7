"""Errors of rows and rewards; the message of each is one line."""

from __future__ import annotations

_LONGEST = 2000


class GroundTruthError(ValueError):
    """A row lacks what its reward needs, or its ground truth has another format."""


class RewardError(ValueError):
    """A reward does not exist, does not load, has no such option, or failed on too many rows."""


class MissingModuleError(RewardError):
    """A reward needs a package that this Python does not have; another Python may have it."""


def one_line(error: BaseException) -> str:
    """Return `Type: message` without line breaks, shortened if it is very long."""
    try:
        text = clean(str(error))
    except KeyboardInterrupt:
        raise
    except BaseException:
        text = "(its message cannot be read)"
    return f"{type(error).__name__}: {text}"[:_LONGEST].rstrip(": ")


def clean(text: str) -> str:
    """Return the text in one line, without what a terminal interprets: responses may hold escape sequences."""
    line = " ".join(text.split())
    if line.isprintable():
        return line
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in line)
