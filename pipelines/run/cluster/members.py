"""Print the nodes of the cluster as a line of JSON: `python -m pipelines.run.cluster.members`. Runs in verl's environment."""

from __future__ import annotations

import json
import sys
from typing import Any

from pipelines.run.cluster.connection import ClusterError, describe, find_address

_SECONDS = 20.0


def list_nodes(address: str) -> list[dict[str, Any]]:
    """Return the nodes that are alive: address, host name, GPUs and CPUs.

    Raises:
        ClusterError: The cluster refuses this process.
    """
    from ray._private.authentication.authentication_token_setup import ensure_token_if_auth_enabled
    from ray._raylet import GcsClient

    try:
        ensure_token_if_auth_enabled(None, create_token_if_missing=False)  # otherwise Ray aborts this process
        found = GcsClient(address=address).get_all_node_info(timeout=_SECONDS)
    except Exception as error:
        raise ClusterError(f"the Ray cluster at {address} refuses a connection: {describe(error)}") from None
    return [
        {
            "address": each.node_manager_address,
            "host": each.node_manager_hostname,
            "gpus": int(each.resources_total.get("GPU", 0)),
            "cpus": int(each.resources_total.get("CPU", 0)),
        }
        for each in found.values()
        if each.state == 0
    ]


def main() -> int:
    """Print the nodes, or why they are not known."""
    try:
        address = find_address()
        answer: dict[str, Any] = {"address": address, "nodes": list_nodes(address)}
    except ClusterError as error:
        answer = {"error": str(error)}
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
