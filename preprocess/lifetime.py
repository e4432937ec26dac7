"""Processes that do not outlive the one that made them, however it ends."""

from __future__ import annotations

import os
from signal import SIGKILL, Signals

from rewards.sandbox.local.inside.kernel import die_with_parent


def end_with(parent: int, signal: Signals = SIGKILL) -> None:
    """Has this process, which `parent` made, get the signal when that ends; if it has ended already, this ends at once."""
    die_with_parent(signal)
    if os.getppid() != parent:
        os._exit(1)
