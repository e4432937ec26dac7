"""Run the processes of an evaluation: `python -m pipelines.evaluation.processes evaluation.json`, under the run's supervisor.

One process scores, one for each copy of the model generates. If one fails, the others are stopped.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipelines.evaluation.spec import Generation, SpecError, read

_POLL_SECONDS = 0.1
_PACKAGE = "pipelines.evaluation"


def devices_of(generation: Generation, replica: int, variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variable that gives a replica its GPUs."""
    if generation.platform == "cpu" or generation.replicas == 1:
        return {}
    count = generation.tensor_parallel
    given = variables.get("CUDA_VISIBLE_DEVICES")
    devices = given.split(",") if given else [str(number) for number in range(count * generation.replicas)]
    return {"CUDA_VISIBLE_DEVICES": ",".join(devices[replica * count : (replica + 1) * count])}


def run(path: Path) -> int:
    """Generate and score; return the exit status of the first process that failed, or 0."""
    generation = read(path).generation
    scorer = subprocess.Popen([sys.executable, "-m", f"{_PACKAGE}.scoring", str(path)], stdin=subprocess.PIPE)
    generators = [
        subprocess.Popen(
            [sys.executable, "-m", f"{_PACKAGE}.generator", str(path), str(replica)],
            env={**os.environ, **devices_of(generation, replica, os.environ)},
        )
        for replica in range(generation.replicas)
    ]
    try:
        if failed := _wait(generators, scorer):
            return failed
        assert scorer.stdin is not None
        scorer.stdin.close()  # it ends when everything that was generated is scored
        return scorer.wait()
    finally:
        for each in (*generators, scorer):
            if each.poll() is None:
                each.terminate()


def _wait(generators: Sequence[subprocess.Popen[bytes]], scorer: subprocess.Popen[bytes]) -> int:
    """Wait until all generators have ended or a process failed; return the status of that."""
    while True:
        statuses = [each.poll() for each in (*generators, scorer)]
        if failed := next((status for status in statuses if status), None):
            return failed
        if None not in statuses[:-1]:
            return 0
        time.sleep(_POLL_SECONDS)


def main(arguments: Sequence[str]) -> int:
    """Run the command; return its exit status."""
    try:
        status = run(Path(arguments[0]))
    except SpecError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return status if status > 0 else 128 - status if status else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
