"""`python -m tests.pipelines.trackers.toy_run DIRECTORY TRACKERS STEPS PAUSE`: run the toy chain with trackers."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from pipelines.errors import Stopped
from pipelines.recipe.schema import SftStage
from pipelines.records.holder import hold
from pipelines.run import live
from pipelines.run.description import describe_run
from pipelines.run.display import Display
from pipelines.run.execute import execute
from pipelines.run.process import signals_as_stopped
from pipelines.trackers import processes
from pipelines.trainers.base import StagePaths
from tests.pipelines.run.toy import ToyTrainer, make_toy_plan


class Measured(ToyTrainer):
    """The toy trainer with metrics like those of a real one."""

    @staticmethod
    def metrics(stage: SftStage, paths: StagePaths) -> list[dict[str, float]]:
        return [row | {"loss": 1 / row["step"], "val/mean@4": row["step"]} for row in ToyTrainer.metrics(stage, paths)]


def main(directory: Path, trackers: list[object], steps: int, pause: float) -> int:
    """Run the chain; resumes."""
    plan = make_toy_plan(directory, steps=steps, pause=pause)
    recipe = plan.recipe.model_validate(plan.recipe.model_dump() | {"trackers": trackers})
    with pytest.MonkeyPatch.context() as patch:
        for module in ("attempt", "training"):
            patch.setattr(f"pipelines.run.{module}.trainer_module", lambda stage: Measured("toy"))
        patch.setattr(live, "_SECONDS", 0.1)
        patch.setattr(processes, "_PAUSE_SECONDS", 0.2)
        patch.setattr(processes, "_SECONDS", 240.0)  # for a busy machine
        display = Display(4)
        try:
            with signals_as_stopped(), hold(directory):
                describe_run(plan, plan.steps, ["toy"], smoke=False)
                with processes.track(recipe, directory, display.say):
                    execute(plan, plan.steps, display)
        except Stopped as stopped:
            return 128 + stopped.number
    return 0


if __name__ == "__main__":
    folder, given, count, seconds = sys.argv[1:]
    sys.exit(main(Path(folder), json.loads(given), int(count), float(seconds)))
