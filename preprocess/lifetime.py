"""Child processes that end with their parent."""

from __future__ import annotations

import os
from signal import SIGKILL, Signals

from rewards.sandbox.local.inside.kernel import die_with_parent


def end_with(parent: int, signal: Signals = SIGKILL) -> None:
    """Have the kernel send this process the signal when its parent ends; exit at once if `parent` has already ended."""
    die_with_parent(signal)
    if os.getppid() != parent:
        os._exit(1)
