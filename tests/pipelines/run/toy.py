"""A chain of two stages with a toy trainer that counts: real processes, files and kills, in tenths of a second."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pipelines.errors import StepError
from pipelines.recipe.schema import Recipe, SftStage
from pipelines.run.plan import Machine, Plan, Step, stage_paths
from pipelines.trainers.base import Launch, Progress, Result, StagePaths

# Adds the rate to a sum at each step and saves a checkpoint folder, with the state written last.
TRAINER = """
import json, pathlib, sys, time
settings = json.loads(pathlib.Path("train.json").read_text())
folder = pathlib.Path("../checkpoints")
done = sorted(folder.glob("step-*/state.json"), key=lambda p: int(p.parent.name[5:]))
state = json.loads(done[-1].read_text()) if done else {"step": 0, "sum": settings["start"]}
print("starts at", state["step"], flush=True)
while state["step"] < settings["steps"]:
    time.sleep(settings["pause"])
    state = {"step": state["step"] + 1, "sum": state["sum"] + settings["rate"]}
    if state["step"] == settings.get("fail_at"):
        raise ValueError("the loss is not a number")
    met = pathlib.Path(f"met-{state['step']}")
    if (fault := settings.get("faults", {}).get(str(state["step"]))) and not met.exists():
        met.touch()
        exec(fault)
    here = folder / f"step-{state['step']}"
    here.mkdir(parents=True)
    (here / "big").write_text("x" * 1000)
    (here / "state.json").write_text(json.dumps(state))
"""

HANDOVER = """
import json, pathlib
state = json.loads((pathlib.Path("../checkpoint") / "state.json").read_text())
model = pathlib.Path("../model")
model.mkdir(exist_ok=True)
(model / "weights").write_text(str(state["sum"]))
"""


class ToyTrainer(ModuleType):
    """A `pipelines.trainers.base.Trainer`."""

    @staticmethod
    def checkpoints(paths: StagePaths) -> dict[int, Path]:
        return {int(file.parent.name[5:]): file.parent for file in paths.checkpoints.glob("step-*/state.json")}

    @staticmethod
    def incomplete(paths: StagePaths) -> dict[int, str]:
        folders = paths.checkpoints.glob("step-*")
        return {int(each.name[5:]): "no state.json" for each in folders if not (each / "state.json").exists()}

    @staticmethod
    def before_attempt(stage: SftStage, paths: StagePaths) -> int:
        import shutil

        for folder in paths.checkpoints.glob("step-*"):
            if not (folder / "state.json").exists():
                shutil.rmtree(folder)
        return len(list(paths.checkpoints.glob("step-*")))

    @staticmethod
    def progress(stage: SftStage, paths: StagePaths) -> Progress | None:
        step = len(list(paths.checkpoints.glob("step-*/state.json")))
        return Progress(step, stage.steps, {"loss": 1 / (step + 1)}) if step else None

    @staticmethod
    def metrics(stage: SftStage, paths: StagePaths) -> list[dict[str, float]]:
        return [{"step": n + 1} for n in range(len(list(paths.checkpoints.glob("step-*/state.json"))))]

    @staticmethod
    def result(stage: SftStage, paths: StagePaths) -> Result:
        last = paths.checkpoints / f"step-{stage.steps}"
        if not last.exists():
            raise StepError(f"the toy did not reach step {stage.steps}")
        return Result(last, int(stage.steps or 0))


def make_toy_plan(directory: Path, *, rate: float = 1.0, second_rate: float = 10.0, **settings: Any) -> Plan:
    """Make a plan of two stages of `steps` steps; the model of each is the sum of its rates."""
    steps = settings.pop("steps", 3)
    policy = {key: settings.pop(key) for key in ("retries", "stall_minutes") if key in settings}
    settings = {"pause": 0.0, "steps": steps} | settings
    source = {"converter": "toy", "source": str(directory / "rows")}
    recipe = Recipe.model_validate(
        {
            "name": "toy",
            "model": "./model",
            **policy,
            "stages": [
                {
                    "name": name,
                    "kind": "sft",
                    "steps": steps,
                    "learning_rate": 1,
                    "data": {"train": source, "validation": source},
                }
                for name in ("one", "two")
            ],
        }
    )
    machine = Machine("cpu", Path(sys.executable), {"llamafactory": Path(sys.executable)}, {})
    chain: list[Step] = []
    for name, this_rate in (("one", rate), ("two", second_rate)):
        paths = stage_paths(directory, name)
        inputs = {"the model it starts from": str(stage_paths(directory, "one").model)} if name == "two" else {}
        train = Step(
            name=f"{name}/train",
            title=f"train {name}",
            stage=name,
            trainer="llamafactory",
            directory=paths.step("train"),
            launch=Launch(
                argv=(sys.executable, "-c", TRAINER),
                files={"train.json": json.dumps(settings | {"rate": this_rate, "start": 0}, indent=1)},
            ),
            inputs=inputs,
        )
        hand_over = Step(
            name=f"{name}/handover",
            title=f"hand {name} over",
            stage=name,
            trainer="llamafactory",
            directory=paths.step("handover"),
            launch=Launch(argv=(sys.executable, "-c", HANDOVER)),
            outputs=(paths.model,),
            follows=(train.name,),
        )
        chain += [train, hand_over]
    return Plan(recipe, machine, directory, tuple(chain))


def use_toy_trainer(patch: pytest.MonkeyPatch) -> None:
    """Use the toy trainer for every stage."""
    for module in ("attempt", "training"):
        patch.setattr(f"pipelines.run.{module}.trainer_module", lambda stage: ToyTrainer("toy"))
