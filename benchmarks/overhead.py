"""What the chain costs on top of the commands that it runs: both sides measured, printed as a ratio.

    python benchmarks/overhead.py recipes/smoke.yaml            # about twice the recipe's own time

1. `pipeline run RECIPE` in an empty folder, its environments built: the wall time.
2. Each of its commands again, bare, from the `command.sh` that the run left, in the same order, on the same files.
3. How long `--help`, `plan` and a run with nothing to do take, best of five.

Measures of the second side begin from the same state as the first: what a command makes is removed before it is run bare.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main(recipe: str) -> None:
    pipeline = str(Path(sys.executable).with_name("pipeline"))
    with tempfile.TemporaryDirectory() as folder:
        chain = measure([pipeline, "run", recipe, "--runs", folder])
        (run,) = (each for each in Path(folder).iterdir() if each.is_dir())
        print(f"pipeline run {recipe}: {chain:.1f} s")
        idle = {
            "a run with nothing to do": [pipeline, "run", recipe, "--runs", folder],
            "pipeline plan": [pipeline, "plan", recipe, "--runs", folder],
            "pipeline --help": [pipeline, "--help"],
        }
        for name, argv in idle.items():
            print(f"{name}: {min(measure(argv) for _ in range(5)):.2f} s")
        bare = 0.0
        for script in in_order(run):
            remove_results(script.parent)
            seconds = measure([str(script)], variables={"PYTHONPATH": str(Path(__file__).resolve().parents[1])})
            print(f"  bare {script.parent.relative_to(run)}: {seconds:.1f} s")
            check_link(script.parent)
            bare += seconds
        print(f"the commands alone: {bare:.1f} s")
        print(f"the chain on top of them: {chain - bare:+.1f} s, ratio {chain / bare:.3f} (bounds: 5 s and 1.03)")


def measure(argv: list[str], variables: dict[str, str] | None = None) -> float:
    """Wall time of a command in seconds; it must succeed."""
    began = time.perf_counter()
    done = subprocess.run(argv, capture_output=True, text=True, env={**os.environ, **(variables or {})})
    seconds = time.perf_counter() - began
    if done.returncode:
        sys.exit(f"{argv} ended with {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return seconds


def in_order(run: Path) -> list[Path]:
    """The scripts of the run's steps, in the order in which they were started."""
    started = {}
    for record in run.rglob("record.json"):
        if "replaced" not in record.parts:
            started[record.parent / "command.sh"] = json.loads(record.read_text())["made"]
    scripts = sorted(started, key=lambda script: (script.parent / "log").stat().st_ctime)
    return sorted(scripts, key=lambda script: started[script].partition(" ")[0])


def remove_results(step: Path) -> None:
    """Takes away what the step made, so that it has it all to make again."""
    made = {
        "prepare": ["data"],
        "make-model": ["model"],
        "train": ["checkpoints"],
        "export-model": ["export"],
        "handover": ["model"],
    }[step.name]
    for name in made:
        shutil.rmtree(step.parent / name, ignore_errors=True)


def check_link(step: Path) -> None:
    """The link `checkpoint` that the chain left must point at what the bare command made again."""
    if step.name == "train" and not (step.parent / "checkpoint").resolve().exists():
        sys.exit(f"{step}: the bare command made another checkpoint than the chain's")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "smoke.yaml")
