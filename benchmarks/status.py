"""Time of `pipeline status`, whole process: on a run of 5,000 training steps, compared with one of 50.

Both runs have the same stages, the metrics that verl logs for each step, and a log of the same length per step. The
position of a run is in small files, and of its metrics only the end is read: the time must not grow with the steps. Then
`pipeline runs` with both runs, and `pipeline --help`, which reads nothing. Best of ten;
the two runs are compared by CPU time.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import Result, run
from benchmarks.overhead import PIPELINE, best_of, run_command
from pipelines.records.manifest import Manifest, StageEntry, StepEntry, write_manifest
from pipelines.records.progress import Reached, write_reached
from pipelines.records.steps import StepRecord, write_record

METRICS = 85
"""Numbers that verl logs for a step of GRPO."""
LINES = 12
"""Lines of the log for a step."""


def measure(given: argparse.Namespace) -> Iterator[Result]:
    """Yield the times of `status` and `runs`."""
    times, steps = (1, 500) if given.quick else (10, 5000)
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder)
        for name, count in (("short", 50), ("long", steps)):
            make_run(runs / name, count)
        arguments = ["--runs", folder]
        yield Result(
            f"pipeline status, {steps:,} steps", "s", best_of(times, [PIPELINE, "status", "long", *arguments]), at_most=0.3
        )
        short, long = (least_cpu(times, [PIPELINE, "status", name, *arguments]) for name in ("short", "long"))
        yield Result(f"pipeline status, {steps:,} steps", "s of CPU time", long, short, "50 steps", at_most=1.1)
        yield Result(
            "pipeline status --json", "s", best_of(times, [PIPELINE, "status", "long", "--json", *arguments]), at_most=0.3
        )
        yield Result("pipeline runs", "s", best_of(times, [PIPELINE, "runs", *arguments]), at_most=0.3)
        yield Result("pipeline --help", "s", best_of(times, [PIPELINE, "--help"]), at_most=0.25)


def least_cpu(times: int, argv: list[str]) -> float:
    """Return the least CPU time of a command, which other work changes less than the wall time."""
    used = []
    for _ in range(times):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run_command(argv)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(used)


def make_run(directory: Path, steps: int) -> None:
    """Write a run that was killed in the middle of its GRPO stage."""
    names = ["sft/prepare", "rl/prepare", "prompts", "sft/train", "sft/handover", "rl/train", "rl/export", "rl/handover"]
    entries = [
        StepEntry(name=name, title=name, stage=name.partition("/")[0] if "/" in name else None, folder=f"stages/{name}")
        for name in names
    ]
    stages = [
        StageEntry(name="sft", kind="sft", trainer="llamafactory", steps=steps),
        StageEntry(name="rl", kind="rl", trainer="verl", algorithm="grpo", steps=2 * steps),
    ]
    directory.mkdir()
    (directory / "recipe.yaml").write_text(f"name: {directory.name}\n", encoding="utf-8")
    write_manifest(directory, Manifest(name=directory.name, stages=stages, steps=entries))
    for entry in entries[:6]:
        is_last = entry.name == "rl/train"
        folder = directory / entry.folder
        write_record(folder, StepRecord("c", {}, "started" if is_last else "complete", started="2026-11-28T06:58:23+00:00"))
        if entry.name.endswith("/train"):
            write_training(directory / "stages" / str(entry.stage), steps)


def write_training(stage: Path, steps: int) -> None:
    """Write the metrics, the log and the progress of a training."""
    metrics = {f"actor/some/metric-{number}": 0.123456789 * number for number in range(METRICS)}
    with (
        (stage / "metrics.jsonl").open("w", encoding="utf-8") as file,
        (stage / "train" / "log").open("w", encoding="utf-8") as log,
    ):
        for step in range(1, steps + 1):
            file.write(json.dumps({"step": step, "loss": 1.0, "critic/score/mean": 0.5, **metrics}) + "\n")
            log.write(f"(TaskRunner pid=1) step:{step} - a line of a log of some length, as verl prints it\n" * LINES)
    write_reached(stage / "train", Reached(step=steps, total=2 * steps, metrics={"reward": 0.5}, at=time.time()))


if __name__ == "__main__":
    run(__doc__, measure)
