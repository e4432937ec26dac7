"""End what a run left on the nodes of the cluster: `python -m pipelines.run.cluster.sweep RUN_DIRECTORY`.

Runs in verl's environment. Prints a line of JSON: address of a node -> names of the processes that were ended there.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipelines.run import process
from pipelines.run.cluster.connection import ClusterError, connected
from pipelines.run.scratch import remove_scratch, scratch_folder
from pipelines.shipped import import_path

_GRACE_SECONDS = 3.0
_UNNOTICED_SECONDS = 60.0
"""Time in which the cluster may notice that a node is lost. One that is listed after it, and is not swept, is an error."""
_LOOK_SECONDS = 1.0


def main(arguments: list[str]) -> int:
    """Sweep every node at once."""
    (directory,) = arguments
    try:
        with connected({"PYTHONPATH": str(import_path())}):
            answer = sweep_nodes(directory)
    except ClusterError as error:
        raise SystemExit(str(error)) from None
    print(json.dumps(answer))
    return 0


def sweep_nodes(directory: str) -> dict[str, list[str]]:
    """Sweep every node at once; return the names of the processes by the address of their node.

    A lost node is listed until the cluster notices, and is then left out. If it is back by then, as another node, it is swept.
    """
    answer: dict[str, list[str]] = {}
    swept: set[str] = set()
    until = time.monotonic() + _UNNOTICED_SECONDS
    while nodes := [node for node in _list_alive() if node["NodeID"] not in swept]:
        for node, pending in [(node, _start(node, directory)) for node in nodes]:
            try:
                names = ray.get(pending)
            except ray.exceptions.RayTaskError:  # of `sweep` itself
                raise
            except ray.exceptions.RayError:
                if time.monotonic() > until and node["NodeID"] in [each["NodeID"] for each in _list_alive()]:
                    raise
                time.sleep(_LOOK_SECONDS)
                continue
            swept.add(node["NodeID"])
            if names:
                answer.setdefault(node["NodeManagerAddress"], []).extend(names)
    return answer


def _list_alive() -> list[dict[str, Any]]:
    return [node for node in ray.nodes() if node["Alive"]]


def _start(node: Mapping[str, Any], directory: str) -> Any:
    place = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
    return ray.remote(sweep).options(num_cpus=0, max_retries=0, scheduling_strategy=place).remote(directory)


def sweep(directory: str) -> list[str]:
    """End the run's processes on this node and remove its temporary files; return the names of the processes."""
    names = process.end_orphans(Path(directory), _GRACE_SECONDS)
    remove_scratch(scratch_folder(Path(directory)))
    return names


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
