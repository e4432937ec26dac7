"""Render a record as readable lines: line breaks, JSON in strings unfolded, long texts shortened."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

_LONGEST_TEXT = 2000
_MOST_LINES = 40
_MOST_ITEMS = 10
_SHORT = 60

_SPEAKERS = (("role", "content"), ("from", "value"))


@dataclass(frozen=True)
class Line:
    """One line; a terminal may break it further."""

    text: str
    depth: int
    kind: Literal["title", "name", "text", "left out"] = "text"


def render(fields: Any, *, full: bool = False) -> list[Line]:
    """Render the columns of a record; empty ones are left out.

    Args:
        full: do not shorten anything.
    """
    try:
        return list(_render_value(fields, 1, full))
    except RecursionError:
        return [Line("… nested too deeply …", 1, "left out")]


def _render_mapping(fields: Mapping[str, Any], depth: int, full: bool) -> Iterator[Line]:
    for name, value in fields.items():
        value = _unfold(value)
        if value is None or value in ("", [], {}):
            continue
        if (turns := _find_turns(value)) is not None:
            for speaker, text in turns:
                yield Line(f"{name}: {speaker}", depth, "name")
                yield from _render_text(text, depth + 1, full)
        elif (short := _in_one_line(value)) is not None:
            yield Line(f"{name}: {short}", depth)
        else:
            yield Line(f"{name}:", depth, "name")
            yield from _render_value(value, depth + 1, full)


def _render_value(value: Any, depth: int, full: bool) -> Iterator[Line]:
    value = _unfold(value)
    if isinstance(value, Mapping):
        yield from _render_mapping(value, depth, full)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        yield from _render_list(value, depth, full)
    else:
        yield from _render_text(value if isinstance(value, str) else json.dumps(value), depth, full)


def _render_list(items: Sequence[Any], depth: int, full: bool) -> Iterator[Line]:
    half = _MOST_ITEMS // 2
    for number, item in enumerate(items, 1):
        if not full and len(items) > _MOST_ITEMS and half < number <= len(items) - half:
            if number == half + 1:
                yield Line(f"… {len(items) - 2 * half:,} of {len(items):,} left out …", depth, "left out")
            continue
        if (short := _in_one_line([item])) is not None:
            yield Line(f"{number}. {short[1:-1]}", depth)
        else:
            yield Line(f"{number}.", depth, "name")
            yield from _render_value(item, depth + 1, full)


def _render_text(text: str, depth: int, full: bool) -> Iterator[Line]:
    lines = text.split("\n")
    half = _MOST_LINES // 2
    for number, line in enumerate(lines):
        if not full and len(lines) > _MOST_LINES and half <= number < len(lines) - half:
            if number == half:
                yield Line(f"… {len(lines) - 2 * half:,} of {len(lines):,} lines left out …", depth, "left out")
            continue
        if full or len(line) <= _LONGEST_TEXT:
            yield Line(line, depth)
        else:
            yield Line(line[: _LONGEST_TEXT // 2], depth)
            yield Line(f"… {len(line) - _LONGEST_TEXT:,} of {len(line):,} characters left out …", depth, "left out")
            yield Line(line[-_LONGEST_TEXT // 2 :], depth)


def _unfold(value: Any) -> Any:
    """Parse a string that is a JSON object or list; return anything else unchanged."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _find_turns(value: Any) -> list[tuple[str, str]] | None:
    """Return the turns of a conversation as (speaker, text); None if the value is not a conversation."""
    if not isinstance(value, list) or not value:
        return None
    for who, what in _SPEAKERS:
        if all(isinstance(turn, Mapping) and isinstance(turn.get(what), str) and who in turn for turn in value):
            return [(str(turn[who]), turn[what]) for turn in value]
    return None


def _in_one_line(value: Any) -> str | None:
    """Return a short value as one line; None if it is long."""
    if isinstance(value, str):
        return value if "\n" not in value and len(value) <= _SHORT else None
    text = json.dumps(value, ensure_ascii=False, default=str)
    # A line break at the end of a string does not count.
    return text if len(text) <= _SHORT and "\\n" not in text.replace('\\n"', "") else None
