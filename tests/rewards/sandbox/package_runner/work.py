"""The runner's main function."""

from __future__ import annotations

import sys

from tests.rewards.sandbox.package_runner import numbers
from tests.rewards.sandbox.package_runner.below.words import WORD


def main(code: str) -> None:
    """Run the code with values of the other files, and with the names of our modules that it could import."""
    ours = sorted(name for name in sys.modules if name.partition(".")[0] in ("rewards", "tests"))
    exec(code, {"number": numbers.NUMBER, "word": WORD, "ours": ours})
