"""Find what the user wants to evaluate: a model, a run, a stage, or a step of a stage."""

from __future__ import annotations

import os
import re
from pathlib import Path

from pipelines.errors import InputError
from pipelines.evaluation.target import FOLDER, Target
from pipelines.models.folder import find_model_folder
from pipelines.recipe.loading import load
from pipelines.recipe.schema import RlStage, SftStage
from pipelines.records.runs import find_runs, is_run, locate, open_run
from pipelines.run.export import Trained
from pipelines.run.machine import find_environments, find_machine
from pipelines.run.plan import Plan, make_plan, trainer_module
from rewards.suggestions import any_of, did_you_mean, nearest_path, suggestion

_HUB_NAME = re.compile(r"[A-Za-z0-9_][\w.-]*/[\w.-]+", re.ASCII)
_STEP = re.compile(r"(?P<name>.+)@(?P<step>\d+)")


def find_target(text: str) -> Target:
    """Find what the user means: a model folder, a hub name, a run, `RUN/STAGE` or `RUN/STAGE@STEP`.

    A run is a run directory, or the name of one in `runs/`.

    Step 0 of a stage is the model that it starts from.

    Raises:
        InputError: It does not exist; names the nearest that does.
    """
    name, step = text, None
    if (found := _STEP.fullmatch(text)) and not Path(text).expanduser().exists():
        name, step = found["name"], int(found["step"])
    path = Path(os.path.abspath(locate(name)))  # noqa: PTH100 (links in it stay: a run may be one)
    if (stage := _split_stage(path)) is not None:
        return _find_stage(text, *stage, step)
    if is_run(path):
        if step is not None:
            raise InputError(f"{text}: a step is of a stage: {name}/STAGE@{step}{_stages(open_plan(path))}")
        return _find_final(text, open_plan(path))
    if step is not None:
        raise InputError(f"{text}: {name} is not a stage of a run, so it has no step {step}; expected RUN/STAGE@STEP")
    if path.is_dir():
        if find_model_folder(str(path)) is None:
            raise InputError(f"{text} is neither a model (no config.json) nor a run (no recipe.yaml); {_kinds()}")
        return Target(text, path.name, str(path), Path.cwd() / FOLDER)
    return _find_hub_model(text, path)


def find_trained(run: str, stage: str | None = None, step: int | None = None) -> Trained:
    """Find a trained model of a run: the last stage's, a stage's, or the checkpoint of a step.

    Args:
        run: A run directory, `RUN/STAGE` or `RUN/STAGE@STEP`.
        stage: The stage, if `run` is a run directory.
        step: The step, if `run` has none.

    Raises:
        InputError: It does not exist, or was not trained by a run; names what there is.
    """
    text = run + (f"/{stage}" if stage is not None else "") + (f"@{step}" if step is not None else "")
    target = find_target(text)
    if target.plan is None or target.stage is None:
        raise InputError(f"{text} is not a model of a run; expected a run (runs/x), RUN/STAGE or RUN/STAGE@STEP")
    found = _STEP.fullmatch(text)
    number = int(found["step"]) if found and target.label != target.stage.name else None
    if number == 0:
        raise InputError(f"{text} is the model that the stage starts from, {target.model}: there is nothing to export")
    checkpoint = target.checkpoint or (Path(target.model) if number is not None else None)
    return Trained(target.plan, target.stage, number, checkpoint)


def _split_stage(path: Path) -> tuple[Path, str] | None:
    """Return the run directory and the stage of `RUN/STAGE` or `RUN/stages/STAGE`."""
    if path.parent.name == "stages" and is_run(path.parent.parent):
        return path.parent.parent, path.name
    return (path.parent, path.name) if is_run(path.parent) and find_model_folder(str(path)) is None else None


def open_plan(run: Path) -> Plan:
    """Return the plan of a run.

    Raises:
        InputError: The folder is no run, or of a later version.
    """
    directory = Path(os.path.abspath(run.expanduser()))  # noqa: PTH100 (links in it stay: a run may be one)
    open_run(directory)
    recipe = load(directory / "recipe.yaml").recipe
    return make_plan(recipe, find_machine(find_environments(recipe)), directory)


def _find_stage(text: str, directory: Path, name: str, step: int | None) -> Target:
    plan = open_plan(directory)
    stage = next((each for each in plan.recipe.stages if each.name == name), None)
    if stage is None:
        raise InputError(
            f"{text}: {directory} has no stage {name!r}{suggestion(name, [each.name for each in plan.recipe.stages])}"
        )
    label, home = name if step is None else f"{name}@{step}", directory / FOLDER
    if step == 0:
        return Target(text, label, plan.initial_model(stage), home, plan, stage)
    paths = plan.paths(name)
    if step is None:
        if not paths.model.is_dir():
            raise InputError(f"{text}: stage {name} has no model yet{_steps(plan, stage)}")
        return Target(text, label, str(paths.model), home, plan, stage)
    trainer = trainer_module(stage)
    checkpoint = trainer.checkpoints(paths).get(step)
    if checkpoint is None:
        incomplete = any(each.name.endswith(("_" + str(step), "-" + str(step))) for each in paths.checkpoints.glob("*"))
        problem = (
            f"the checkpoint of step {step} is not complete" if incomplete else f"stage {name} has no checkpoint of step {step}"
        )
        raise InputError(f"{text}: {problem}{_steps(plan, stage)}")
    if trainer.export(stage, plan.context(stage)) is None:
        return Target(text, label, str(checkpoint), home, plan, stage)
    return Target(text, label, "", home, plan, stage, checkpoint)


def _find_final(text: str, plan: Plan) -> Target:
    last = plan.recipe.stages[-1]
    if not plan.paths(last.name).model.is_dir():
        found = [each for stage in plan.recipe.stages if (each := _newest(plan, stage))]
        others = f"; found: {', '.join(f'{text}/{each}' for each in found)}" if found else ""
        raise InputError(f"{text} is not finished: its last stage, {last.name}, has no model yet{others}")
    return _find_stage(text, plan.directory, last.name, None)


def _newest(plan: Plan, stage: SftStage | RlStage) -> str | None:
    """Return a stage that has a model, its newest checkpoint as STAGE@STEP, or None."""
    paths = plan.paths(stage.name)
    if paths.model.is_dir():
        return stage.name
    steps = trainer_module(stage).checkpoints(paths)
    return f"{stage.name}@{max(steps)}" if steps else None


def _find_hub_model(text: str, path: Path) -> Target:
    """Return the model of a hub name; a name that looks like a missing path is an error."""
    explicit = text.startswith(("/", "~", "./", "../"))
    if not explicit and _HUB_NAME.fullmatch(text) and not text.startswith("runs/") and not path.parent.is_dir():
        return Target(text, text.rpartition("/")[2], text, Path.cwd() / FOLDER)
    runs = [name for each in find_runs() for name in (str(each), each.name)]
    near = did_you_mean(text, runs) or (nearest_path(path) if path.parent != Path.cwd() else "")
    raise InputError(f"{text} not found{near}; {_kinds()}")


def _steps(plan: Plan, stage: SftStage | RlStage) -> str:
    steps = sorted(trainer_module(stage).checkpoints(plan.paths(stage.name)))
    return f"; it has checkpoints of {any_of(steps).replace(' or ', ' and ')}" if steps else "; it has no checkpoints"


def _stages(plan: Plan) -> str:
    return f"; its stages are {', '.join(each.name for each in plan.recipe.stages)}"


def _kinds() -> str:
    return "expected a model folder, a hub name (owner/name), a run (runs/x), RUN/STAGE or RUN/STAGE@STEP"
