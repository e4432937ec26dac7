"""What the runner does."""

from __future__ import annotations

import sys

from tests.rewards.sandbox.package_runner import numbers
from tests.rewards.sandbox.package_runner.below.words import WORD


def main(code: str) -> None:
    """Runs the code with what the other files hold, and with the names of ours that it could import."""
    ours = sorted(name for name in sys.modules if name.partition(".")[0] in ("rewards", "tests"))
    exec(code, {"number": numbers.NUMBER, "word": WORD, "ours": ours})
