"""What people choose, read as structs that refuse the unknown: a converter's options, a preparation's configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from preprocess.errors import SourceError
from preprocess.sources.decoding import describe

SettingsT = TypeVar("SettingsT", bound=msgspec.Struct)

Positive = Annotated[int, msgspec.Meta(ge=1)]
Proportion = Annotated[float, msgspec.Meta(ge=0, le=1)]


def read_settings(given: Any, kind: type[SettingsT], whole: str) -> SettingsT:
    """The settings that plain values say.

    Args:
        whole: what all of it is called.

    Raises:
        SourceError: one is unknown, missing, or has a wrong type or value; one line.
    """
    try:
        # A recipe's keys that are numbers are text in the JSON that a preparation reads.
        return msgspec.convert(given, kind, str_keys=True, dec_hook=_read_path)
    except msgspec.ValidationError as error:
        raise SourceError(describe(str(error), kind, given, whole)) from None


def _read_path(kind: type, value: Any) -> Any:
    """msgspec's hook for types that it does not know: paths are given as text."""
    return Path(value) if kind is Path and isinstance(value, str) else value
