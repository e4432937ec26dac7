"""Shared by the campaign."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rewards.sandbox.public import public_copy


@pytest.fixture(scope="module")
def public_folder() -> Iterator[Path]:
    """A folder that another user can read, with this project's code."""
    with public_copy() as folder:
        yield folder
