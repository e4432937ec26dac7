"""Start one command on each of several nodes, as `srun` does: `python -m pipelines.run.cluster.launch NODES GPUS -- COMMAND …`.

Runs in verl's environment. The command gets this process's variables, the rendezvous in the variables of torchrun and of
LLaMA-Factory, and this process's folder, which all nodes share. Each node has a supervisor, which ends the command with all
of its processes when this process, its actor there or the node's Ray ends. What the ranks print is printed here, each line
with its rank.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import ray
from ray.util.placement_group import placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from pipelines.run.cluster.connection import ClusterError, connected
from pipelines.run.process import MARK
from pipelines.run.scratch import scratch_folder
from pipelines.trainers.verl.attempt_files import SHARED_MEMORY_PREFIX
from pipelines.trainers.verl.network import find_interface

FOLDER = "nodes"
"""The folder with the output of each node, below the command's."""

_WAIT_SECONDS = 120.0
"""How long nodes may be busy with what a killed run has left."""

_OTHERS_SECONDS = 10.0
"""How long the other nodes may go on after one has failed: their errors may name the cause."""

_GRACE = 3.0
_STOP_SECONDS = 4.5  # before this process is killed itself

# A node has its own; a container's or a scheduler's is wrong elsewhere.
_LEFT_OUT = ("TMPDIR", "HOSTNAME", "CUDA_VISIBLE_DEVICES")
_LEFT_OUT_PREFIXES = ("RAY_", "SLURM_")


class Node:
    """The command on one node."""

    def __init__(self) -> None:
        self._supervisor: subprocess.Popen[bytes] | None = None

    def meet(self) -> tuple[str, int]:
        """Return this node's address and a port that is free."""
        address = ray.util.get_node_ip_address()
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as listener:
            listener.bind((address, 0))
            return address, listener.getsockname()[1]

    def run(self, argv: Sequence[str], variables: Mapping[str, str], folder: str, log: str) -> tuple[int | None, str]:
        """Run the command to its end; return its exit status, and the error if it cannot be started."""
        # Apart from the scratch folder of the run, which may be on the same machine.
        scratch = scratch_folder(Path(variables.get(MARK, folder), Path(log).stem))
        own = {name: os.environ[name] for name in _LEFT_OUT if name in os.environ}
        if variables.get("CUDA_VISIBLE_DEVICES") == "":
            own.pop("CUDA_VISIBLE_DEVICES", None)
        network = find_interface(ray.util.get_node_ip_address())
        network |= {name: os.environ[name] for name in network if name in os.environ}
        self._supervisor = subprocess.Popen(
            [sys.executable, "-m", "pipelines.run.supervisor", log, str(scratch), str(_GRACE), "--", *argv],
            cwd=folder,
            env={**network, **variables, **own, "TMPDIR": str(scratch), SHARED_MEMORY_PREFIX: scratch.name},
            stdin=subprocess.PIPE,  # closes when this process dies; the supervisor then ends the command
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._supervisor.stdout is not None
        answer = self._supervisor.stdout.read()
        self._supervisor.wait()
        if not answer:
            return None, "its supervisor was killed"
        report = json.loads(answer)
        return report["status"], report["error"]

    def stop(self) -> None:
        """End the command; return once it has ended."""
        if self._supervisor is not None and self._supervisor.stdin is not None:
            with suppress(BrokenPipeError):
                self._supervisor.stdin.close()
            self._supervisor.wait()


class _Output:
    """The output of a node, printed as far as it is written."""

    def __init__(self, log: Path) -> None:
        log.write_bytes(b"")
        self._log, self._read, self._rest = log, 0, b""

    def print_new(self, *, ended: bool = False) -> None:
        """Print the whole lines that were added; at the end, also the last part of one."""
        with self._log.open("rb") as source:
            source.seek(self._read)
            added = source.read()
        self._read += len(added)
        lines, newline, self._rest = (self._rest + added).rpartition(b"\n")
        if ended and self._rest:
            lines, newline, self._rest = lines + newline + self._rest, b"\n", b""
        sys.stdout.buffer.write(lines + newline)
        sys.stdout.buffer.flush()


def main(arguments: list[str]) -> int:
    """Run the command on all nodes; return 0 if it has succeeded on each."""
    nodes, gpus, separator, *argv = arguments
    if separator != "--" or not argv:
        raise SystemExit("usage: python -m pipelines.run.cluster.launch NODES GPUS -- COMMAND ...")
    folder = Path(FOLDER).absolute()
    folder.mkdir(exist_ok=True)
    for old in folder.glob("node-*.log"):
        old.unlink()
    shared = {name: os.environ[name] for name in ("PYTHONPATH", MARK) if name in os.environ}
    try:
        with connected(shared) as address:
            signal.signal(signal.SIGTERM, _stop)  # Ray sets its own handler
            return _run(int(nodes), int(gpus), argv, folder, address)
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _stop(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)
    raise SystemExit(128 + number)


def _run(count: int, gpus: int, argv: Sequence[str], folder: Path, address: str) -> int:
    group = placement_group([{"GPU": gpus, "CPU": 1}] * count, strategy="STRICT_SPREAD")
    if not group.wait(_WAIT_SECONDS):
        raise ClusterError(f"the Ray cluster at {address} has not {count} nodes with {gpus} free GPUs and a free CPU each")
    actor = ray.remote(Node)
    places = [PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=index) for index in range(count)]
    nodes = [actor.options(num_gpus=gpus, num_cpus=1, max_concurrency=2, scheduling_strategy=each).remote() for each in places]
    # This node first, if it is one of them: the same order in each attempt.
    here = ray.util.get_node_ip_address()
    met = sorted(zip(ray.get([each.meet.remote() for each in nodes]), nodes, strict=True), key=lambda each: _order(each, here))
    meetings, nodes = [each for each, _ in met], [each for _, each in met]
    host, port = meetings[0]
    logs = [folder / f"node-{rank}.log" for rank in range(count)]
    outputs = [_Output(log) for log in logs]
    variables = _variables(count, gpus, host, port, argv)
    started = {}
    for rank, (node, log) in enumerate(zip(nodes, logs, strict=True)):
        own = {**variables, "NODE_RANK": str(rank), "PET_NODE_RANK": str(rank)}
        started[node.run.remote(list(argv), own, str(folder.parent), str(log))] = rank
    print(f"{count} nodes: {', '.join(each for each, _ in meetings)}", flush=True)
    failed = []
    try:
        for rank, error in _wait(started, outputs):
            if error:
                failed.append(f"node {rank} ({meetings[rank][0]}) {error}")
    finally:
        with suppress(ray.exceptions.RayError):
            ray.get([each.stop.remote() for each in nodes], timeout=_STOP_SECONDS)
        for output in outputs:
            output.print_new(ended=True)
    if failed:  # on one line, the first first: it may have ended the others
        print(f"error: {', then '.join(failed)}", flush=True)
    return 1 if failed else 0


def _order(met: tuple[tuple[str, int], Any], here: str) -> tuple[bool, tuple[int, str]]:
    (address, _), _ = met
    return address != here, (len(address), address)


def _variables(count: int, gpus: int, host: str, port: int, argv: Sequence[str]) -> dict[str, str]:
    """Return the variables of the command, without the node's own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_LEFT_OUT_PREFIXES)}
    kept = {name: value for name, value in kept.items() if name not in _LEFT_OUT or value == ""}
    path = os.pathsep.join([str(Path(argv[0]).parent), kept.get("PATH", os.defpath)])
    rendezvous = {"NNODES": count, "MASTER_ADDR": host, "MASTER_PORT": port, "NPROC_PER_NODE": gpus}
    torchrun = {f"PET_{name}": value for name, value in rendezvous.items()}
    # Each line of the output begins with its rank, in torch's own form.
    lines = {"PET_TEE": 3, "TORCHELASTIC_LOG_LINE_PREFIX_TEMPLATE": "[rank${rank}]: "}
    return kept | {"PATH": path} | {name: str(value) for name, value in (rendezvous | torchrun | lines).items()}


def _wait(started: Mapping[Any, int], outputs: Sequence[_Output]) -> Iterator[tuple[int, str]]:
    """Yield each node's rank when its command has ended, and how it failed; stop some time after the first failure."""
    waiting, deadline = list(started), float("inf")
    while waiting and time.monotonic() < deadline:
        ended, waiting = ray.wait(waiting, timeout=0.5)
        for output in outputs:
            output.print_new()
        for each in ended:
            error = _describe(each)
            if error:
                deadline = min(deadline, time.monotonic() + _OTHERS_SECONDS)
            yield started[each], error
    for each in waiting:
        yield started[each], "was ended with them"


def _describe(run: Any) -> str:
    """Return how a node's command failed; empty if it succeeded."""
    try:
        status, error = ray.get(run)
    except ray.exceptions.RayError as lost:
        return f"is lost: {' '.join(str(lost).split())[:200]}"
    if error:
        return f"could not start the command: {error}" if status is None else error
    if status is None:
        return "was ended"
    return f"ended with status {status}" if status else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
