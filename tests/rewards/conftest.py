"""Fixtures that write plugin files and register rewards for one test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from rewards import entry, registry
from rewards.plugins.loading import list_rewards

Plugin = Callable[..., Path]

REGISTER = "from rewards.registry import register\n"


@pytest.fixture
def plugin(tmp_path: Path) -> Plugin:
    """Write a plugin file whose first line imports `register`; return its path."""

    def write(text: str, name: str = "mine.py") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(REGISTER + dedent(text), encoding="utf-8")
        return path

    return write


@pytest.fixture
def reward() -> Iterator[Any]:
    """Register a function until the end of the test, by default as `probe`."""
    list_rewards()
    before = dict(registry.REWARDS)

    def add(function: Any, name: str = "probe", **more: Any) -> Any:
        return registry.register(name, **more)(function)

    yield add
    entry._prepared.clear()
    entry._last = None
    registry.REWARDS.clear()
    registry.REWARDS.update(before)
