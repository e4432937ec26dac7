"""What it costs to follow a training: the CPU time of `pipeline run` while a stage trains, in percent of one core.

The stage is `stage-one` of smoke.yaml, with a program instead of verl that logs a step a second into a file of metrics, which
already has STEPS steps of two attempts. Once with a progress bar on a terminal, once with lines in a log.
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import random
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from benchmarks.harness import ROOT, Result, run
from pipelines.errors import StepError
from pipelines.recipe.loading import load
from pipelines.records.steps import read_record
from pipelines.run.display import Display
from pipelines.run.execute import execute
from pipelines.run.plan import Machine, Plan, make_plan
from pipelines.trainers.verl.rendering import metrics_folder

STAGE = "stage-one"
METRICS = 80
VALIDATE_EVERY = 200
VALIDATION = [
    f"val-{kind}/mean@1" for kind in ("core/questions/reward", "aux/questions/accuracy", "aux/questions/has_accuracy")
]
BOUND = 2.0

# Logs steps until it is stopped: the file of metrics, the file that ends it, the first step, the seconds of a step.
TRAINER = """
import json, pathlib, random, sys, time
file, stop, step, seconds = sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
names = list(json.loads(open(file).readline())["data"])
while not stop.exists():
    time.sleep(seconds)
    data = {name: random.random() for name in names} | {"training/global_step": step}
    with open(file, "a") as log:
        log.write(json.dumps({"step": step, "data": data}) + "\\n")
    step += 1
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--steps", type=int, default=5_000, help="default: 5,000")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long each is measured; default: 60")


def measure(given: argparse.Namespace) -> Iterator[Result]:
    """Yield the share of a core with a terminal and with a log."""
    steps, seconds = (50, 1.5) if given.quick else (given.steps, given.seconds)
    for display in ("terminal", "log"):
        with tempfile.TemporaryDirectory() as folder, open_stream(display) as stream:
            share = follow(Path(folder), steps, seconds, stream)
        yield Result(f"{display}, {steps:,} steps", "% of a core", share, at_most=BOUND)


def follow(folder: Path, steps: int, seconds: float, stream: TextIO) -> float:
    """Run the step that trains, and return the share of a core that this process takes meanwhile, in percent."""
    plan, stop = make_training(folder, steps), folder / "stop"
    train = plan.step(f"{STAGE}/train")

    def follow_training() -> None:
        display = Display(1, stream)
        # The program trains nothing: the step fails when it has ended.
        with suppress(StepError):
            execute(plan, [train], display)
        display.close()

    runner = threading.Thread(target=follow_training)
    runner.start()
    try:
        # The steps that a resumed run finds are read, and written, once.
        while runner.is_alive() and not plan.paths(STAGE).metrics.exists():
            time.sleep(0.1)
        began, used = time.monotonic(), time.process_time()
        time.sleep(seconds)
        share = 100 * (time.process_time() - used) / (time.monotonic() - began)
        if not runner.is_alive():
            sys.exit(f"the step ended early: {read_record(train.directory)}")
        return share
    finally:
        stop.touch()
        runner.join()


def make_training(folder: Path, steps: int) -> Plan:
    """Return a run whose stage has been trained for some steps, in two attempts, and that logs on."""
    changes = {"steps": 2 * steps, "keep_best": "true", "save_every": VALIDATE_EVERY, "validate_every": VALIDATE_EVERY}
    sets = ["hardware.platform=cpu", *(f"stages.{STAGE}.{name}={value}" for name, value in changes.items())]
    trainers = ("llamafactory", "verl")
    here = Path(sys.executable)
    machine = Machine("cpu", here, dict.fromkeys(trainers, here), dict.fromkeys(trainers, ROOT))
    plan = make_plan(load(ROOT / "recipes/smoke.yaml", sets).recipe, machine, folder / "run")
    metrics = metrics_folder(plan.paths(STAGE))
    metrics.mkdir(parents=True)
    names = ["critic/score/mean", "actor/entropy", "response_length/mean"]
    names += [f"timing_s/phase_{number}/mean" for number in range(METRICS - len(names))]
    dice, half = random.Random(0), steps // 2
    for attempt, (first, last) in enumerate(((1, half + 5), (half + 1, steps)), start=1):
        with (metrics / f"{attempt}-1.jsonl").open("w", encoding="utf-8") as file:
            for step in range(first, last + 1):
                data = {name: dice.random() for name in names} | {"training/global_step": step}
                if step % VALIDATE_EVERY == 0 or step == 1:
                    data |= dict.fromkeys(VALIDATION, 1.0)
                file.write(json.dumps({"step": step, "data": data}) + "\n")
    argv = (str(here), "-c", TRAINER, str(metrics / "2-1.jsonl"), str(folder / "stop"), str(steps + 1), "1")
    return replace(
        plan,
        steps=tuple(
            replace(step, launch=replace(step.launch, argv=argv)) if step.name == f"{STAGE}/train" else step
            for step in plan.steps
        ),
    )


@contextmanager
def open_stream(display: str) -> Iterator[TextIO]:
    """Open a terminal of 120 columns whose output another process reads, or a file."""
    if display == "log":
        with tempfile.TemporaryFile("w") as file:
            yield file
        return
    os.environ["TERM"] = "xterm-256color"
    reader, writer = pty.openpty()
    termios.tcsetwinsize(writer, (40, 120))
    # It ends with an error when the terminal is closed.
    drain = subprocess.Popen(["cat"], stdin=reader, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(reader)
    try:
        with os.fdopen(writer, "w") as terminal:
            yield terminal
    finally:
        drain.wait()


if __name__ == "__main__":
    run(__doc__, measure, add_arguments)
