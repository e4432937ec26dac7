"""Cost of the interpreter tool on top of the sandbox that runs its code, with 64 concurrent responses.

Each response makes ten calls, one after the other; stateless, and stateful in a session. The sandbox alone and the tool take
turns, and the median of the rounds counts. `added` is the time from the tool's start to its reply that is not spent in the
sandbox's own call. Runs in verl's environment.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator

from benchmarks.harness import ROOT, Result, run
from pipelines.environments import detected_platform, environment


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=5)


def measure(given: argparse.Namespace) -> Iterator[Result]:
    """Yield the figures for the stateless and the stateful tool."""
    verl = environment("verl", detected_platform())
    missing = "--quick" if given.quick else verl.why_not_ready() or ""
    found: dict[str, dict[str, float]] = {}
    if not missing:
        argv = [str(verl.python), "-m", "benchmarks.interpreter_calls", str(given.rounds)]
        variables = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(argv, cwd=ROOT, env=variables, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(f"{argv} ended with {done.returncode}")
        found = json.loads(done.stdout.splitlines()[-1])
    for kind in ("stateless", "stateful"):
        figures = found.get(kind, {})
        ours, alone = figures.get("together"), figures.get("alone")
        yield Result(f"{kind}, all calls", "ms per call", ours, alone, "sandbox alone", left_out=missing)
        yield Result(f"{kind}, added to the sandbox", "ms per call", figures.get("added"), at_most=2, left_out=missing)


if __name__ == "__main__":
    run(__doc__, measure, add_arguments)
