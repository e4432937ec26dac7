"""Measure what trackers add to a training.

A chain of one stage runs through the orchestrator with a trainer that only waits and logs 100 metrics a step, without trackers
and then with them, in turns. Compared are the wall times, the orchestrator's own CPU time, and the CPU time of all processes.
W&B writes files (offline); MLflow needs a server: --mlflow URL. Trackers that are not installed are left out.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from benchmarks.harness import ROOT, Result, run

TRAINER = """
import json, sys, time
steps, seconds = int(sys.argv[1]), float(sys.argv[2])
begin = time.monotonic()
with open("rows.jsonl", "a", buffering=1) as file:
    for step in range(1, steps + 1):
        row = {"step": step, **{f"actor/metric_{number}": step / number for number in range(1, 101)}}
        file.write(json.dumps(row) + "\\n")
        time.sleep(max(0, begin + step * seconds - time.monotonic()))
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--steps", type=int, default=600, help="default: 600")
    parser.add_argument("--seconds", type=float, default=0.5, help="of a step; default: 0.5")
    parser.add_argument("--rounds", type=int, default=2, help="default: 2")
    parser.add_argument("--mlflow", metavar="URL", help="also feed this MLflow server")


def measure(given: argparse.Namespace) -> Iterator[Result]:
    """Yield wall and CPU times with the trackers and without."""
    steps, seconds, rounds = (20, 0.02, 1) if given.quick else (given.steps, given.seconds, given.rounds)
    wanted: list[dict[str, Any]] = [{"name": "tensorboard"}, {"name": "wandb", "offline": True}]
    wanted += [{"name": "mlflow", "url": given.mlflow}] if given.mlflow else []
    trackers = [each for each in wanted if find_spec(each["name"])]
    names = " and ".join(each["name"] for each in trackers)
    name = f"{steps} steps of {seconds:g} s, with {names or 'trackers'}"
    if not trackers:
        yield Result(f"{name}, wall time", "s", at_most=1.01, left_out="tensorboard and wandb are not installed")
        return
    found: dict[bool, list[list[float]]] = {False: [], True: []}
    for _ in range(rounds):
        for tracked in (False, True):
            found[tracked].append(run_chain(trackers if tracked else [], steps, seconds))
    (wall, own, total), (wall_without, own_without, total_without) = (
        [statistics.median(column) for column in zip(*found[tracked], strict=True)] for tracked in (True, False)
    )
    yield Result(f"{name}, wall time", "s", wall, wall_without, "without", at_most=1.01)
    yield Result("CPU time of the orchestrator", "s", own, own_without, "without")
    yield Result("CPU time of the trackers' processes", "s", max(0.0, total - own - total_without + own_without))
    yield Result("CPU of orchestrator and trackers", "% of a core", 100 * (total - total_without + own_without) / wall)


def run_chain(trackers: list[dict[str, Any]], steps: int, seconds: float) -> list[float]:
    """Return the wall time, the orchestrator's CPU time, and that of all processes."""
    with tempfile.TemporaryDirectory() as folder:
        code = "import sys; from benchmarks.trackers import run_toy; run_toy(*sys.argv[1:])"
        argv = [sys.executable, "-c", code, folder, json.dumps(trackers), str(steps), str(seconds)]
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True)
        if done.returncode != 0 or "warning" in done.stdout:
            sys.exit(f"the chain failed:\n{done.stdout}{done.stderr}")
        return list(map(float, done.stdout.splitlines()[-1].split()))


def run_toy(folder: str, trackers: str, steps: str, seconds: str) -> None:
    """Run the chain in this process, and print its times."""
    from contextlib import nullcontext

    from pipelines.recipe.schema import Recipe, SftStage
    from pipelines.run import attempt, execute
    from pipelines.run.description import describe_run
    from pipelines.run.display import Display
    from pipelines.run.plan import Machine, Plan, Step, stage_paths
    from pipelines.trackers.processes import track
    from pipelines.trainers.base import Launch, Progress, Result, StagePaths
    from pipelines.trainers.metric_lines import read_rows

    directory, paths = Path(folder), stage_paths(Path(folder), "one")
    source = {"converter": "toy", "source": "rows"}
    stage = {
        "name": "one",
        "kind": "sft",
        "steps": int(steps),
        "learning_rate": 1.0,
        "data": {"train": source, "validation": source},
    }
    recipe = Recipe.model_validate({"name": "toy", "model": "./model", "stages": [stage], "trackers": json.loads(trackers)})

    class Toy(ModuleType):
        @staticmethod
        def incomplete(paths: StagePaths) -> dict[int, str]:
            return {}

        @staticmethod
        def before_attempt(stage: SftStage, paths: StagePaths) -> int:
            return 0

        @staticmethod
        def metrics(stage: SftStage, paths: StagePaths) -> list[dict[str, float]]:
            return read_rows([paths.step("train") / "rows.jsonl"], dict)[0]

        @staticmethod
        def progress(stage: SftStage, paths: StagePaths) -> Progress | None:
            rows = Toy.metrics(stage, paths)
            return Progress(int(rows[-1]["step"]), stage.steps, {}) if rows else None

        @staticmethod
        def result(stage: SftStage, paths: StagePaths) -> Result:
            return Result(paths.step("train"), int(stage.steps or 0))

    launch = Launch(argv=(sys.executable, "-c", TRAINER, steps, seconds))
    step = Step("one/train", "train one", "one", "llamafactory", paths.step("train"), launch)
    python = Path(sys.executable)
    plan = Plan(recipe, Machine("cpu", python, {"llamafactory": python}, {}), directory, (step,))
    setattr(attempt, "trainer_module", lambda stage: Toy("toy"))  # noqa: B010
    begin, display = time.monotonic(), Display(1)
    describe_run(plan, plan.steps, [], smoke=False)
    with track(recipe, directory, display.say) if recipe.trackers else nullcontext():
        execute.execute(plan, plan.steps, display)
    wall = time.monotonic() - begin
    own, others = (sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(wall, own, own + others)


if __name__ == "__main__":
    run(__doc__, measure, add_arguments)
