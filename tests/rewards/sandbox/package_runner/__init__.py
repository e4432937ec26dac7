"""A runner of several files that import each other."""

from tests.rewards.sandbox.package_runner.work import main

__all__ = ["main"]
