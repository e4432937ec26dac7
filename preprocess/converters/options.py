"""A converter's options: structs that refuse unknown keys, with one-line errors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec

from preprocess.errors import SourceError
from preprocess.sources.decoding import describe

OptionsT = TypeVar("OptionsT", bound=msgspec.Struct)

Positive = Annotated[int, msgspec.Meta(ge=1)]


def parse_options(given: Any, kind: type[OptionsT]) -> OptionsT:
    """Return plain values as a struct.

    Raises:
        SourceError: A value is unknown, missing, or has a wrong type or value.
    """
    try:
        # A recipe's keys that are numbers are text in prepare.json.
        return msgspec.convert(given, kind, str_keys=True, dec_hook=_decode_path)
    except msgspec.ValidationError as error:
        raise SourceError(describe(str(error), kind, given, "options")) from None


def _decode_path(kind: type, value: Any) -> Any:
    """Decode the types that msgspec does not support: paths are given as text."""
    return Path(value) if kind is Path and isinstance(value, str) else value
