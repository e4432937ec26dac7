"""Cost of the pipeline on top of the commands that it runs, and the time of commands that run nothing.

1. The wall time of `pipeline --help`, `pipeline plan` and, after 2, of a run in which every step is complete; best of five.
2. The wall time of `pipeline run RECIPE` in an empty folder, with its environments built, compared with that of its commands
   alone: each step's `command.sh`, in the same order, on the same files, after its results have been removed.

The second part takes about twice as long as the recipe; `--quick` leaves it out.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import ROOT, Result, run, time_call
from pipelines.recipe.finding import find_recipe
from pipelines.recipe.loading import load
from pipelines.records.runs import open_run
from pipelines.run.machine import find_environments

PIPELINE = str(Path(sys.executable).with_name("pipeline"))
RESULTS = {
    "prepare": "data",
    "make-model": "model",
    "count-prompts": "prompts.json",
    "train": "checkpoints",
    "export-model": "export",
    "handover": "model",
}
"""Folder of a step -> what its command writes."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", nargs="?", default="smoke.yaml", help="default: smoke.yaml")


def measure(given: argparse.Namespace) -> Iterator[Result]:
    """Yield the times without, then with the recipe's commands."""
    times = 1 if given.quick else 5
    environments = find_environments(load(find_recipe(given.recipe, Path())).recipe)
    reasons = [reason for each in environments.values() if (reason := each.why_not_ready())]
    missing = "--quick" if given.quick else "; ".join(reasons)
    with tempfile.TemporaryDirectory() as folder:
        arguments = [given.recipe, "--runs", folder]
        yield Result("pipeline --help", "s", best_of(times, [PIPELINE, "--help"]), at_most=0.25)
        yield Result("pipeline plan", "s", best_of(times, [PIPELINE, "plan", *arguments]))
        if missing:
            yield Result(f"pipeline run {given.recipe}", "s", at_most=1.03, left_out=missing)
            return
        seconds = best_of(1, [PIPELINE, "run", *arguments])
        yield Result("pipeline run, all steps complete", "s", best_of(times, [PIPELINE, "run", *arguments]))
        (directory,) = (each for each in Path(folder).iterdir() if each.is_dir())
        alone = sum(map(run_alone, find_scripts(directory)))
        yield Result(f"pipeline run {given.recipe}", "s", seconds, alone, "its commands alone", at_most=1.03)
        yield Result("added by the pipeline", "s", seconds - alone, at_most=5)


def best_of(times: int, argv: list[str]) -> float:
    """Return the least wall time of a command, which must succeed."""
    return min(time_call(lambda: run_command(argv)) for _ in range(times))


def run_command(argv: list[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    if done.returncode:
        sys.exit(f"{argv} ended with {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")


def find_scripts(directory: Path) -> list[Path]:
    """Return the scripts of a run's steps, in the order in which they were executed."""
    return [step.folder / "command.sh" for step in open_run(directory).steps if step.record is not None]


def run_alone(script: Path) -> float:
    """Run a step's command again, from the state in which the pipeline started it; return the seconds."""
    step, stage = script.parent.name, script.parent.parent
    result = stage / RESULTS[step]
    if result.is_dir():
        shutil.rmtree(result)
    seconds = time_call(lambda: run_command([str(script)]))
    if step == "train" and not (stage / "checkpoint").resolve().exists():
        sys.exit(f"{script}: the command alone wrote another checkpoint than the pipeline's")
    return seconds


if __name__ == "__main__":
    run(__doc__, measure, add_arguments)
