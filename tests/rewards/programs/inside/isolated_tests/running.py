"""Run tests against a program and return their verdicts."""

from __future__ import annotations

import asyncio

from rewards.programs.candidate import SourceTests, run_tests
from rewards.sandbox import Limits


def run(
    code: str, kind: str, *sources: str, function: str = "f", prelude: str = "", helpers: str = "", most: int = 99
) -> list[bool]:
    """Return the verdicts of tests of one kind."""
    limits = Limits(cpu_seconds=3, wall_seconds=60)
    return asyncio.run(run_tests(code, SourceTests(kind, sources, helpers, function, prelude), limits, most))


def run_module(code: str, source: str) -> list[bool]:
    """Return the verdicts of a test module."""
    return run(code, "pytest", source)
