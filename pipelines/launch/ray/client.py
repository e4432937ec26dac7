"""Talk with a Ray cluster: every question is asked by `jobs`, in verl's environment."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.environments.ask import AskError, ask
from pipelines.errors import InputError, StepError
from pipelines.launch.job import Job
from pipelines.launch.ray.script import entrypoint
from pipelines.shipped import python_path

_SECONDS = 120.0
_PROBE_SECONDS = 300.0
ENDED = ("stopped", "succeeded", "failed")
"""States of a job that has ended."""


@dataclass(frozen=True)
class Client:
    """A Ray cluster.

    Args:
        address: The dashboard's.
        python: A Python with Ray.
    """

    address: str
    python: str

    def ask(self, what: str, **request: Any) -> Any:
        """Ask the cluster.

        Raises:
            AskError: It does not answer, or refuses; the message is one line.
        """
        return ask(self.python, self._words(what, request), variables=_variables(), timeout=_SECONDS)

    def follow(self, job: str) -> None:
        """Print the log of a job until it ends."""
        subprocess.run([self.python, *self._words("follow", {"id": job})], env={**os.environ, **_variables()}, check=False)

    def _words(self, what: str, request: Mapping[str, Any]) -> list[str]:
        text = json.dumps({"do": what, "address": self.address, **request})
        return ["-m", "pipelines.launch.ray.jobs", text]


def check(client: Client, where: str, job: Job, paths: Sequence[Path]) -> None:
    """Check whether the cluster answers, has enough nodes, and whether each node has some files.

    Args:
        client: The cluster.
        where: The place of its address, for errors.
        job: What is to run.
        paths: The files.

    Raises:
        InputError: It could not run the job; nothing was submitted.
    """
    python = shlex.quote(job.verl)
    import_path = f"PYTHONPATH={shlex.quote(job.import_path)} " if job.import_path else ""
    arguments = shlex.join(map(str, paths))
    # The first node may lack the Python itself.
    command = (
        f"if [ -x {python} ]; then {import_path}exec {python} -m pipelines.launch.ray.probe {arguments}; fi; "
        f'echo "probe: {{\\"nodes\\": 1, \\"missing\\": {{\\"$(hostname)\\": \\"{job.verl}\\"}}}}"'
    )
    try:
        name = client.ask("submit", entrypoint=shlex.join(["bash", "-c", command]), metadata={"name": "probe"})
        found = _wait_for_probe(client, name)
    except AskError as error:
        raise InputError(f"{where}: {client.address} does not answer as a Ray dashboard: {error}") from None
    for node, path in sorted(found["missing"].items()):
        raise InputError(f"node {node} has no {path}, which this machine has; use a file system that all nodes share (--runs)")
    if found["nodes"] < job.nodes:
        raise InputError(f"{where}: hardware.nodes is {job.nodes}; the Ray cluster has {found['nodes']}")


def submit(client: Client, job: Job, name: str) -> str:
    """Submit a run and return the job's id.

    Raises:
        StepError: The cluster refused it.
    """
    # On one node, verl starts a Ray of its own: the cluster must keep those GPUs free for it.
    gpus = job.gpus if job.nodes == 1 else 0
    try:
        return str(client.ask("submit", entrypoint=entrypoint(job, name), metadata={"run": name}, gpus=gpus))
    except AskError as error:
        raise StepError(f"{client.address} refused the job: {error}") from None


def _wait_for_probe(client: Client, name: str) -> dict[str, Any]:
    deadline = time.monotonic() + _PROBE_SECONDS
    while (state := client.ask("state", id=name))["state"] not in ENDED:
        if time.monotonic() > deadline:
            raise AskError(f"its probe has not ended after {_PROBE_SECONDS:.0f} s")
        time.sleep(0.5)
    for line in client.ask("log", id=name).splitlines():
        if line.startswith("probe: "):
            found: dict[str, Any] = json.loads(line.removeprefix("probe: "))
            return found
    raise AskError(f"its probe {state['state']}: {state['message']}")


def _variables() -> dict[str, str]:
    return {"PYTHONPATH": python_path()}
