"""Sent with every program: lowers its limits, gives it an empty folder and fixed hashes, and becomes it.

The service itself knows wall time only, and memory only where its `isolation` is none.
"""

from __future__ import annotations

import json
import os
import resource
import sys


def main(task: str) -> None:
    """Becomes `main.py` of the folder this runs in, within limits given as JSON: {"RLIMIT_CPU": seconds, …}."""
    for name, amount in json.loads(task).items():
        lower(getattr(resource, name), amount)
    # No pathlib: every program would pay for its import.
    folder = os.getcwd()  # noqa: PTH109
    work = f"{folder}/work"
    os.mkdir(work)  # noqa: PTH102
    os.chdir(work)
    os.environ.update(HOME=work, TMPDIR=work, PYTHONHASHSEED="0", PYTHONUTF8="1", PYTHONDONTWRITEBYTECODE="1")
    # Address space is limited: none for threads of a linear algebra library, or for their heaps.
    os.environ.update(OMP_NUM_THREADS="1", MALLOC_ARENA_MAX="2")
    os.execv(sys.executable, [sys.executable, f"{folder}/main.py"])


def lower(kind: int, amount: int) -> None:
    """Sets a limit, or leaves it where the service has set less.

    For CPU time the kernel signals at the one bound and kills at the other, a second later.
    """
    hard = resource.getrlimit(kind)[1]
    if hard != resource.RLIM_INFINITY:
        resource.setrlimit(kind, (min(amount, hard), min(amount + 1, hard)))
    else:
        resource.setrlimit(kind, (amount, amount + 1))
