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


def _render_value(value: Any, depth: int, full: bool) -> Iterator[Line]:
    value = _unfold(value)
    if isinstance(value, Mapping):
        yield from _render_mapping(value, depth, full)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        yield from _render_list(value, depth, full)
    else:
        yield from _render_text(value if isinstance(value, str) else json.dumps(value), depth, full)


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


def _render_list(items: Sequence[Any], depth: int, full: bool) -> Iterator[Line]:
    for index in _shown(len(items), _MOST_ITEMS, full):
        if index is None:
            yield Line(f"… {len(items) - _MOST_ITEMS:,} of {len(items):,} left out …", depth, "left out")
        elif (short := _in_one_line([items[index]])) is not None:
            yield Line(f"{index + 1}. {short[1:-1]}", depth)
        else:
            yield Line(f"{index + 1}.", depth, "name")
            yield from _render_value(items[index], depth + 1, full)


def _render_text(text: str, depth: int, full: bool) -> Iterator[Line]:
    lines, half = text.split("\n"), _LONGEST_TEXT // 2
    for index in _shown(len(lines), _MOST_LINES, full):
        if index is None:
            yield Line(f"… {len(lines) - _MOST_LINES:,} of {len(lines):,} lines left out …", depth, "left out")
        elif full or (length := len(lines[index])) <= _LONGEST_TEXT:
            yield Line(lines[index], depth)
        else:
            yield Line(lines[index][:half], depth)
            yield Line(f"… {length - _LONGEST_TEXT:,} of {length:,} characters left out …", depth, "left out")
            yield Line(lines[index][-half:], depth)


def _shown(count: int, most: int, full: bool) -> list[int | None]:
    """Return the indexes to show; None: those in the middle are left out."""
    if full or count <= most:
        return [*range(count)]
    return [*range(most // 2), None, *range(count - most // 2, count)]


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
