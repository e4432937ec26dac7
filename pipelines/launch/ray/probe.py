"""Look on each node of a Ray cluster for files: `python -m pipelines.launch.ray.probe PATH …`, as a job on the cluster.

Prints one line, `probe: ` and JSON: the number of nodes, and the first file that each node lacks.
"""

from __future__ import annotations

import json
import sys

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

_SECONDS = 60.0


def main(paths: list[str]) -> None:
    """Ask every node."""
    ray.init("auto", logging_level="error", log_to_driver=False)
    nodes = {each["NodeID"]: each["NodeName"] for each in ray.nodes() if each["Alive"]}
    ask = ray.remote(num_cpus=0)(_find_missing)
    asked = {
        name: ask.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(paths)
        for node, name in nodes.items()
    }
    missing = {}
    for name, reference in asked.items():
        try:
            found = ray.get(reference, timeout=_SECONDS)
        except ray.exceptions.RayError as error:
            found = f"answer: {str(error).splitlines()[0]}"
        if found is not None:
            missing[name] = found
    print("probe: " + json.dumps({"nodes": len(nodes), "missing": missing}), flush=True)


def _find_missing(paths: list[str]) -> str | None:
    """Return the first path that does not exist. Ray sends functions of the main module by value: nodes may lack others."""
    import os

    return next((path for path in paths if not os.path.exists(path)), None)  # noqa: PTH110


if __name__ == "__main__":
    main(sys.argv[1:])
