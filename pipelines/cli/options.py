"""Options as a person types them: `--option key=value`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from pipelines.errors import InputError


def read_options(texts: Iterable[str]) -> dict[str, Any]:
    """Each option with its value: what JSON says it is, or else the text itself.

    Raises:
        InputError: a text is no `key=value`.
    """
    return dict(_read_option(text) for text in texts)


def _read_option(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InputError(f"--option {text}: expected KEY=VALUE")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
