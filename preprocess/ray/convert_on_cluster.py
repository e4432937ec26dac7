"""`python -m preprocess.ray.convert_on_cluster ADDRESS PARENT`: convert on a Ray cluster for the process PARENT.

`preprocess.ray.cluster` starts it with the Python of verl's environment, which has Ray. Standard input has the jobs;
standard output gets the converted chunks, then None.
"""

from __future__ import annotations

import os
import pickle
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from preprocess.engine.job import Job
from preprocess.errors import PrepareError, SourceError
from preprocess.lifetime import end_with
from preprocess.ray.chunks import convert_on_ray
from rewards import sandbox

_SECONDS = 10.0


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    address, parent = arguments
    end_with(int(parent), signal.SIGTERM)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # also ends a local cluster
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # only parts go to the parent; anything printed goes to standard error
    with channel, tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as scratch:
        jobs, settings = pickle.load(sys.stdin.buffer)
        try:
            _connect(address, scratch)
            _send_parts(jobs, settings, channel)
        except Exception as error:
            # Ray's exceptions may not unpickle in the parent.
            ours = type(error).__module__.startswith(("preprocess.", "rewards."))
            first = (str(error).splitlines() or [""])[0]
            pickle.dump(error if ours else PrepareError(f"Ray: {type(error).__name__}: {first}"), channel)
    return 0


def _send_parts(jobs: Sequence[Job], settings: sandbox.Settings, channel: IO[bytes]) -> None:
    import ray

    try:
        for part in convert_on_ray(jobs, settings):
            pickle.dump(part, channel)
            channel.flush()
        pickle.dump(None, channel)
    finally:
        ray.shutdown()


def _connect(address: str, scratch: str) -> None:
    """Connect to the cluster, or start a local one.

    Raises:
        SourceError: There is no cluster at the address.
    """
    if (problem := _probe(address)) is not None:
        raise SourceError(f"no Ray cluster at {address}: {problem}")
    import ray

    options: dict[str, Any] = {"include_dashboard": False, "_temp_dir": scratch} if address == "local" else {}
    packages = [str(Path(__file__).resolve().parents[1]), str(Path(sandbox.__file__).parents[1])]
    try:
        ray.init(
            address=address,
            runtime_env={"py_modules": packages},
            logging_level="ERROR",
            log_to_driver=False,
            **options,
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise SourceError(f"no Ray cluster at {address}: {str(error).splitlines()[0]}") from error


def _probe(address: str) -> str | None:
    """Return the error of connecting to host:port, if any; Ray itself would retry for many minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:
        return None if address in ("auto", "local") else "expected host:port, `auto` or `local`"
    try:
        socket.create_connection((host, int(port)), _SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        return str(error)
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
