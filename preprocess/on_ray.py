"""`python -m preprocess.on_ray ADDRESS CONFIG.json`: what `preprocess.prepare` does, converted on a Ray cluster's machines.

Runs with the Python of verl's environment, which has Ray. The files are the same, byte for byte, for Ray Data is told to
keep the order. The sources, and a converter's file, lie at the same paths on all machines; the rows come back to this
process, which writes them. ADDRESS is the cluster's, `auto` for the one this machine belongs to, or `local` to start one
here that ends with the command.
"""

from __future__ import annotations

import socket
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from preprocess.prepare import run
from preprocess.ray_data import convert_on_ray
from rewards import sandbox

_SECONDS = 10.0


def main(arguments: Sequence[str]) -> int:
    """The command; returns its exit status."""
    if len(arguments) != 2:
        print("usage: python -m preprocess.on_ray ADDRESS CONFIG.json", file=sys.stderr)
        return 2
    address, config = arguments
    if (problem := _probe(address)) is not None:
        print(f"error: no Ray cluster at {address}: {problem}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as scratch:
        return _prepare_there(address, Path(config), scratch)


def _prepare_there(address: str, config: Path, scratch: str) -> int:
    import ray

    options: dict[str, Any] = {"include_dashboard": False, "_temp_dir": scratch} if address == "local" else {}
    packages = [str(Path(__file__).parent), str(Path(sandbox.__file__).parents[1])]
    try:
        ray.init(
            address=address,
            runtime_env={"py_modules": packages},
            logging_level="ERROR",
            log_to_driver=False,
            **options,
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        print(f"error: no Ray cluster at {address}: {str(error).splitlines()[0]}", file=sys.stderr)
        return 2
    try:
        return run(config, lambda settings: partial(convert_on_ray, settings=settings))
    finally:
        ray.shutdown()


def _probe(address: str) -> str | None:
    """Why nothing answers at host:port; Ray itself would try for many minutes."""
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
