"""A converter's options: structs that refuse unknown keys, with one-line errors, and their documentation."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True)
class OptionDoc:
    """An option."""

    name: str
    kind: Any
    """Its type."""
    needed: bool
    default: Any
    """None if the option is required."""
    meaning: str
    """Empty for options of custom converters."""


def explain_options(options: type[msgspec.Struct]) -> list[OptionDoc]:
    """Return the options in their order, those of the base class first."""
    from preprocess.attribute_texts import read_attribute_texts

    meanings = {name: text for base in reversed(options.__mro__) for name, text in read_attribute_texts(base).items()}
    docs = []
    for field in msgspec.structs.fields(options):
        default = None if field.required else field.default
        if field.default_factory is not msgspec.NODEFAULT:
            default = field.default_factory()
        docs.append(OptionDoc(field.name, field.type, field.required, default, meanings.get(field.name, "")))
    return docs
