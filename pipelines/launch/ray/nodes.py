"""Wait until a Ray cluster has all its nodes: `python -m pipelines.launch.ray.nodes 2`, with RAY_ADDRESS set."""

from __future__ import annotations

import sys
import time

import ray

_LONGEST = 180.0


def wait_for(count: int) -> None:
    """Wait until that many nodes are alive, and print their names.

    Raises:
        SystemExit: They are not after three minutes.
    """
    deadline = time.monotonic() + _LONGEST
    while True:
        try:
            ray.init("auto", logging_level="error", log_to_driver=False)
            break
        except (ConnectionError, RuntimeError) as error:
            if time.monotonic() > deadline:
                sys.exit(f"error: Ray does not answer: {str(error).splitlines()[0]}")
            time.sleep(1)
    while len(alive := [each["NodeName"] for each in ray.nodes() if each["Alive"]]) < count:
        if time.monotonic() > deadline:
            sys.exit(f"error: {len(alive)} of {count} Ray nodes are alive: {', '.join(alive)}")
        time.sleep(0.5)
    print(f"Ray runs on {count} nodes: {', '.join(sorted(alive))}", flush=True)


if __name__ == "__main__":
    wait_for(int(sys.argv[1]))
