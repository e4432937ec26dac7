"""Running tests beside a program, and whether each of them held."""

from __future__ import annotations

import asyncio

from rewards.programs.candidate import Candidate, TestSource, run_tests
from rewards.sandbox import Limits


def run(
    code: str, kind: str, *sources: str, function: str = "f", prelude: str = "", helpers: str = "", most: int = 99
) -> list[bool]:
    """The verdicts of `sources`, which are tests of the kind."""
    limits = Limits(cpu_seconds=3, wall_seconds=20)
    tests = TestSource(kind, sources, helpers)
    return asyncio.run(run_tests(Candidate(code, function, prelude), tests, limits, most))


def run_module(code: str, source: str) -> list[bool]:
    """The verdicts of a test module."""
    return run(code, "pytest", source)
