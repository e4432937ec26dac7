"""Sent with every program: lower its limits, give it an empty folder and fixed hashes, and execute it.

The service itself limits only wall time, and memory if its `isolation` is none.
"""

from __future__ import annotations

import json
import os
import resource
import sys


def main(task: str) -> None:
    """Execute `main.py` of the current folder within limits given as JSON: {"RLIMIT_CPU": seconds, …}."""
    for name, value in json.loads(task).items():
        kind = getattr(resource, name)
        # For CPU time the kernel sends a signal at the soft limit, and kills at the hard one, a second later.
        soft, hard = value, value + 1
        current = resource.getrlimit(kind)[1]
        if current != resource.RLIM_INFINITY:
            soft, hard = min(soft, current), min(hard, current)
        resource.setrlimit(kind, (soft, hard))
    # No pathlib: importing it would slow down every program.
    folder = os.getcwd()  # noqa: PTH109
    work = f"{folder}/work"
    os.mkdir(work)  # noqa: PTH102
    os.chdir(work)
    os.environ.update(HOME=work, TMPDIR=work, PYTHONHASHSEED="0", PYTHONUTF8="1", PYTHONDONTWRITEBYTECODE="1")
    # Address space is limited, so linear algebra libraries get no threads, and threads no separate heaps.
    os.environ.update(OMP_NUM_THREADS="1", MALLOC_ARENA_MAX="2")
    os.execv(sys.executable, [sys.executable, f"{folder}/main.py"])
