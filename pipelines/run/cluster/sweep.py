"""End what a run left on the nodes of the cluster: `python -m pipelines.run.cluster.sweep RUN_DIRECTORY`.

Runs in verl's environment. Prints a line of JSON: address of a node -> names of the processes that were ended there.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from pipelines.run import process
from pipelines.run.cluster.connection import ClusterError, connected
from pipelines.run.scratch import remove_scratch, scratch_folder
from pipelines.shipped import import_path

_GRACE_SECONDS = 3.0


def main(arguments: list[str]) -> int:
    """Sweep every node at once."""
    (directory,) = arguments
    try:
        with connected({"PYTHONPATH": str(import_path())}):
            found = {}
            for node in ray.nodes():
                if node["Alive"]:
                    place = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
                    task = ray.remote(sweep).options(num_cpus=0, max_retries=0, scheduling_strategy=place)
                    found[node["NodeManagerAddress"]] = task.remote(directory)
            answer = {address: names for address, each in found.items() if (names := ray.get(each))}
    except ClusterError as error:
        raise SystemExit(str(error)) from None
    print(json.dumps(answer))
    return 0


def sweep(directory: str) -> list[str]:
    """End the run's processes on this node and remove its temporary files; return the names of the processes."""
    names = process.end_orphans(Path(directory), _GRACE_SECONDS)
    remove_scratch(scratch_folder(Path(directory)))
    return names


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
