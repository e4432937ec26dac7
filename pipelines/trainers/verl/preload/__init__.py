"""Processes that are forked instead of started: on a CPU, most of a short training is ten processes that import verl and vLLM.

Ray starts each worker by the client, which asks a server for a process; the first client of a node and a job starts it. What a
forked process runs is what a started one would: upstream's code, with the variables, files and folder of the client. Processes
for a GPU are started, because CUDA does not survive a fork.

`client_command` is what the room offers.
"""

from __future__ import annotations

import shlex
from pathlib import Path


def client_command(python: Path) -> str:
    """Return the value of Ray's `runtime_env.py_executable`."""
    return shlex.join([str(python), "-S", "-I", str(Path(__file__).with_name("client.py"))])
