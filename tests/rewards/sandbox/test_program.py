"""Limits: few different ones, whatever a row's tests are."""

from __future__ import annotations

import pytest

from rewards.sandbox import Limits


@pytest.mark.parametrize(
    ("asked", "allowed"), [(0, 0), (1, 1_000_000), (1_000_000, 1_000_000), (1_000_001, 2_000_000), (8_000_042, 9_000_000)]
)
def test_allow_output_is_in_steps(asked: int, allowed: int) -> None:
    limits = Limits(cpu_seconds=2.0, memory_mb=7)
    assert limits.allow_output(asked) == Limits(cpu_seconds=2.0, memory_mb=7, output_bytes=allowed)
