"""Names instead of the paths of this machine, for texts that leave it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from pipelines.recipe.secrets import HIDDEN, hide_users, is_secret

# An absolute path of two or more parts in a longer text, but not in a URL or a closing tag.
_PATH = re.compile(r"(?<![\w.:/~<-])~?/(?:[^\s/:'\",;()\[\]{}<>=]+/)+[^\s/:'\",;()\[\]{}<>=]*")
_WHOLE = re.compile(r"~?/[^\n]*")

_MACHINE = ("environments", "sandbox")
"""Sections of a recipe that describe the machine and not the training."""


def hide_paths(text: str) -> str:
    """Return a text with the last part of each absolute path instead of the path, and without credentials in URLs."""
    text = hide_users(text, "")
    if _WHOLE.fullmatch(text) and "//" not in text[:2] and text != "/":
        return _last(text)
    return _PATH.sub(lambda found: _last(found[0]), text)


def hide_command(words: Sequence[str]) -> list[str]:
    """Return the words of a command without paths and secrets; `KEY=/path` keeps its key."""
    found = []
    for word in words:
        key, equals, value = word.partition("=")
        secret = bool(equals) and is_secret(key)
        found.append(f"{key}={HIDDEN if secret else hide_paths(value)}" if equals else hide_paths(word))
    return found


def hide_recipe(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recipe without paths, secrets and the sections of the machine."""
    return {key: _hide(key, value) for key, value in recipe.items() if key not in _MACHINE}


def _hide(key: str, value: Any) -> Any:
    if isinstance(value, Mapping):
        return {hide_paths(str(name)): _hide(str(name), each) for name, each in value.items()}
    if isinstance(value, list):
        return [_hide(key, each) for each in value]
    if isinstance(value, str):
        return HIDDEN if is_secret(key) else hide_paths(value)
    return value


def _last(path: str) -> str:
    return PurePath(path).name or path
