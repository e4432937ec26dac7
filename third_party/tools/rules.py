"""Allowed values and ranges of keys that are checked outside the key's own dataclass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from limits import Limits

Entry = dict[str, Any]
"""`type`, `default`, `help`; `engines` (valid with these only), `added` (not in the YAML: Hydra requires a `+`); the limits of
the value (see `values`), `cases` (limits while other keys have some values), `properties` (keys in a free-form mapping),
`names` (all keys of such a mapping; with `open`, there may be more), `json` (a text is a mapping in JSON, or a file),
`length` and `items` (the type) of a list."""


@dataclass(frozen=True)
class Rule:
    """Where an upstream checks keys."""

    keys: str
    """Patterns of keys, separated by spaces."""
    limits: Limits
    """What the upstream allows."""
    when: Mapping[str, list[Any]] = field(default_factory=dict)
    """Other key -> its values for which this holds, also if it is not set. A key that starts with a dot is next to the key."""
    inside: str = ""
    """The key in a free-form mapping, if `keys` are free-form mappings."""


def values(enum: Iterable[Any], **more: Any) -> Limits:
    """Return the limits of a key with these values.

    Args:
        enum: The values.
        more: `separator`: the text lists several of them. `open`: plugins register more. `also`: other texts that contain this
            are allowed. `any_case`: case does not matter.
    """
    return {"enum": list(dict.fromkeys(enum)), **more}


def apply(rules: Iterable[Rule], entries: dict[str, Entry]) -> None:
    """Add each rule's limits to the keys that it matches."""
    for rule in rules:
        for key, entry in entries.items():
            if any(fnmatchcase(key, pattern) for pattern in rule.keys.split()):
                _add(entry, key, rule, entries)


def _add(entry: Entry, key: str, rule: Rule, entries: Mapping[str, Entry]) -> None:
    group = key.rpartition(".")[0]
    when = {f"{group}{other}" if other.startswith(".") else other: given for other, given in rule.when.items()}
    when = {other: given for other, given in when.items() if other in entries}
    target = entry.setdefault("properties", {}).setdefault(rule.inside, {}) if rule.inside else entry
    add_case(target, rule.limits, when)


def add_case(entry: Entry, limits: Limits, when: Mapping[str, list[Any]]) -> None:
    """Add limits that hold always, or while other keys have some values."""
    if when:
        entry.setdefault("cases", []).append({"when": dict(when), **limits})
    else:
        entry.update(limits)
