"""Cost of `pipeline submit` on a Slurm cluster, on top of the commands that the run consists of.

A real cluster of two nodes is started on this machine (as root, with Debian's slurmctld, slurmd, slurm-client and munge). First
the wall time from `pipeline submit` until its job has left the queue, then that of a job which runs the same commands (each
step's `command.sh`, in the same order, after its results were removed) without this project. The difference is divided by the
number of stages. The default recipe has one stage, a training of one step.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import ROOT, Result, run, time_call
from benchmarks.overhead import PIPELINE, RESULTS, find_scripts
from pipelines.records.runs import open_run
from tests.pipelines.launch.slurm_cluster import Cluster, start_cluster, why_not

RECIPE = f"""
name: submitted
model: {{make: qwen2, vocabulary: 512, hidden_size: 64, layers: 1, heads: 1, max_tokens: 512}}
hardware: {{platform: cpu}}
stages:
  - name: sft
    kind: sft
    data:
      train: {{converter: programs_code, source: {ROOT}/recipes/data/programs.py}}
      validation: {{fraction: 0.1}}
    steps: 1
    learning_rate: 0.01
    batch: {{per_device: 2}}
    max_tokens: 256
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", nargs="?", help="default: one stage of supervised fine-tuning, one step")
    parser.add_argument("--times", type=int, default=3, metavar="N", help="measure N times; the least counts (default: 3)")


def measure(given: argparse.Namespace) -> Iterator[Result]:
    """Yield the times with and without this project."""
    if missing := ("--quick" if given.quick else why_not()):
        yield Result("added by submit and chain, a stage", "s", at_most=5, left_out=missing)
        return
    with tempfile.TemporaryDirectory() as folder, start_cluster() as cluster:
        os.environ.update(cluster.variables)
        recipe = Path(folder, "recipe.yaml")
        recipe.write_text(RECIPE, encoding="utf-8")
        ours, alone, stages = [], [], 1
        for number in range(given.times):
            runs = Path(folder, str(number))
            ours.append(time_call(lambda runs=runs: _submit(cluster, str(given.recipe or recipe), runs)))  # type: ignore[misc]
            (directory,) = runs.iterdir()
            if (state := open_run(directory).state) != "complete":
                sys.exit(f"the submitted run is {state}")
            stages = len(open_run(directory).stages)
            alone.append(_run_alone(cluster, directory))
        yield Result("submit until the end of the job", "s", min(ours), min(alone), "a job of its commands")
        yield Result("added by submit and chain, a stage", "s", (min(ours) - min(alone)) / stages, at_most=5)


def _submit(cluster: Cluster, recipe: str, runs: Path) -> None:
    _call([PIPELINE, "submit", recipe, "--to", "slurm", "--runs", str(runs)])
    _wait(cluster)


def _run_alone(cluster: Cluster, directory: Path) -> float:
    """Run the commands of a run in one job, from the state in which the pipeline started each; return the seconds."""
    lines = ["#!/bin/bash", "set -e"]
    for script in find_scripts(directory):
        result = script.parent.parent / RESULTS[script.parent.name]
        lines += [f"rm -rf '{result}'"] if result.is_dir() else []
        lines += [f"'{script}'"]
    log, job = directory / "alone.log", directory / "alone.sh"
    job.write_text("\n".join([*lines, f"touch '{directory}/finished'"]) + "\n", encoding="utf-8")

    def submit() -> None:
        _call([shutil.which("sbatch") or "sbatch", f"--output={log}", str(job)])
        _wait(cluster)

    seconds = time_call(submit)
    if not (directory / "finished").exists():
        sys.exit(f"the commands alone failed:\n{log.read_text(encoding='utf-8')[-3000:]}")
    return seconds


def _wait(cluster: Cluster) -> None:
    while cluster.jobs():
        time.sleep(0.1)


def _call(argv: list[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    if done.returncode:
        sys.exit(f"{argv} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")


if __name__ == "__main__":
    run(__doc__, measure, add_arguments)
