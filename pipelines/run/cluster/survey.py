"""Probe each node of the Ray cluster: `python -m pipelines.run.cluster.survey < REQUEST.json` in verl's environment.

Prints one line of JSON: `{"error": …}` if the cluster cannot be used, else `{"here": …, "nodes": […]}`.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.run.cluster.connection import ClusterError, connected, describe, find_address
from pipelines.run.cluster.members import list_nodes
from pipelines.run.cluster.probe import probe
from preprocess.lifetime import end_with

_SECONDS = 150.0
"""Time limit of all probes; a busy machine starts a Python of verl's environment in seconds."""

_BYTES = 32 << 20
"""Size of what is sent to each node to measure the bandwidth."""

Json = dict[str, Any]


@dataclass(frozen=True)
class Token:
    """A file in the folder that must be shared, next to which each node writes a reply."""

    file: Path
    text: str

    def reply(self, node: Json) -> Path:
        """Return the file that a node writes."""
        return self.file.with_name(f"{self.file.name}.{node['NodeID'][:16]}")

    def has_reply(self, node: Json) -> bool:
        """Return whether this machine sees what a node wrote."""
        with suppress(OSError):
            return self.reply(node).read_text(encoding="utf-8") == self.text
        return False


def survey(request: Json) -> Json:
    """Connect to the cluster, and probe all of its nodes at once; this machine is the first.

    Args:
        request: `variables` (of the probes), `folder` (which must be shared), `paths`, `sandbox`.
    """
    import ray

    # Ray adds this folder to the path of every node's Pythons: this project would seem to be installed there.
    os.chdir("/")
    list_nodes(find_address())  # raises where Ray, refused, would abort this process
    with connected(request["variables"]):
        own = ray.get_runtime_context().get_node_id()
        alive = (node for node in ray.nodes() if node["Alive"])
        nodes = sorted(alive, key=lambda node: (node["NodeID"] != own, node["NodeManagerAddress"]))
        with _write_token(Path(request["folder"]), nodes) as token:
            return _probe_all(nodes, token, request)


@contextmanager
def _write_token(folder: Path, nodes: list[Json]) -> Iterator[Token]:
    token = Token(folder / f".pipeline-check-{secrets.token_hex(8)}", secrets.token_hex(16))
    try:
        token.file.write_text(token.text, encoding="utf-8")
        yield token
    finally:
        for file in (token.file, *map(token.reply, nodes)):
            with suppress(OSError):
                file.unlink(missing_ok=True)


def _probe_all(nodes: list[Json], token: Token, request: Json) -> Json:
    source = Path(__file__).with_name("probe.py").read_text(encoding="utf-8")
    wanted = {"token": str(token.file), "text": token.text, "paths": request["paths"], "sandbox": request["sandbox"]}
    pending = [_start(node, run_source, source, {**wanted, "reply": str(token.reply(node))}) for node in nodes]
    here = probe({**wanted, "token": None, "sandbox": False})
    until = time.monotonic() + _SECONDS
    found = [_describe(node) | _wait(each, until) for node, each in zip(nodes, pending, strict=True)]
    for node, each in zip(nodes, found, strict=True):
        if "answer" not in each:
            continue
        if not each["answer"]["shared"] and not token.has_reply(node):
            each["answer"]["shared"] = f"a file written there into {token.file.parent} is missing on this machine"
        # One after the other, so that they do not slow each other.
        each["clock"] = _compare_clocks(node)
        each["bandwidth"] = None if node is nodes[0] else _measure_bandwidth(node)
    return {"here": here, "nodes": found}


def _describe(node: Json) -> Json:
    resources = node["Resources"]
    return {
        "name": node["NodeManagerAddress"],
        "host": node["NodeManagerHostname"],
        "cores": int(resources.get("CPU", 0)),
        "gpus": int(resources.get("GPU", 0)),
    }


def _wait(pending: Any, until: float) -> Json:
    import ray

    try:
        return {"answer": ray.get(pending, timeout=max(1.0, until - time.monotonic()))}
    except ray.exceptions.GetTimeoutError:
        return {"problem": f"no answer after {_SECONDS:.0f} s"}
    except Exception as error:
        return {"problem": describe(error)}


def _compare_clocks(node: Json) -> list[float] | None:
    """Return how far the node's clock is ahead of this machine's, and the uncertainty, in seconds."""
    import ray

    with suppress(Exception):
        before = time.time()
        there = ray.get(_start(node, read_clock), timeout=30)
        after = time.time()
        return [there - (before + after) / 2, (after - before) / 2]
    return None


def _measure_bandwidth(node: Json) -> float | None:
    """Return the bytes per second of one object from this machine to the node."""
    import ray

    with suppress(Exception):
        reference = ray.put(os.urandom(_BYTES))
        return _BYTES / float(ray.get(_start(node, receive, [reference]), timeout=30))
    return None


def _start(node: Json, function: Callable[..., Any], *arguments: Any) -> Any:
    """Start a function on a node, even if all of its cores are taken."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    place = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
    return ray.remote(function).options(num_cpus=0, max_retries=0, scheduling_strategy=place).remote(*arguments)


# What follows runs on the nodes. Ray sends functions of the main module as code, so a node needs no module of this project.


def run_source(source: str, request: Json) -> Json:
    """Run the source of `probe`."""
    names: Json = {"__name__": "probe"}
    exec(compile(source, "probe.py", "exec"), names)
    answer: Json = names["probe"](request)
    return answer


def read_clock() -> float:
    """Return the node's time."""
    import time

    return time.time()


def receive(references: list[Any]) -> float:
    """Return the seconds that an object takes to a node."""
    import time

    import ray

    begun = time.perf_counter()
    ray.get(references[0])
    return time.perf_counter() - begun


if __name__ == "__main__":
    end_with(os.getppid())
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)  # whatever Ray prints
        try:
            answer = survey(json.load(sys.stdin))
        except ClusterError as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), file=out)
