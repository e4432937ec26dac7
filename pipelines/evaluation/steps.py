"""The evaluations of a recipe as steps of its plan: before the first stage, and after each stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.errors import InputError
from pipelines.evaluation import spec as specs
from pipelines.evaluation.rendering import load_chosen, make_spec, options_of, output_folder, render_own, to_set_spec
from pipelines.evaluation.sets import MissingSourceError, require_source
from pipelines.evaluation.spec import SUMMARY, SetSpec
from pipelines.evaluation.target import FOLDER, Target
from pipelines.recipe.evaluating import OWN, Evaluate
from pipelines.recipe.loading import Loaded
from pipelines.recipe.problems import error_at
from pipelines.recipe.schema import RlStage, SftStage
from pipelines.run.plan import Plan, Step
from pipelines.trainers.base import Launch

Stage = SftStage | RlStage

BASE = "base"
"""The name of the model before the first stage in tables."""

STEP = "evaluate"
"""The name of the step of that model, and the end of the names of the others."""


@dataclass(frozen=True)
class Planned:
    """A plan with its evaluations."""

    plan: Plan
    left_out: tuple[str, ...] = ()
    """A line for each set whose source is not on this machine."""
    missing: tuple[str, ...] = ()
    """A line for each requirement on such a set."""


def add_evaluations(loaded: Loaded, plan: Plan) -> Planned:
    """Add the evaluations of a recipe to its plan. Sets whose source is not on this machine are left out.

    Raises:
        InputError: A set has mistakes, or a requirement is on a set that is not evaluated.
    """
    evaluate = plan.recipe.evaluate
    if evaluate is None:
        return Planned(plan)
    sets, left_out = _load_sets(loaded, evaluate)
    reasons = tuple(left_out.values())
    names = [OWN if each is None else each.name for each in sets]
    missing = []
    for key in evaluate.require:
        if (name := key.rpartition(".")[0]) in names:
            continue
        reason = "; ".join(reasons) or f"expected a set of `evaluate.on`: {', '.join(names)}"
        error = error_at(loaded.where("evaluate", "require", key), f"evaluate.require.{key}", f"{name} not found; {reason}")
        if name not in left_out:
            raise error
        missing.append(str(error))
    if not sets:
        return Planned(plan, reasons, tuple(missing))
    steps: list[Step] = []
    for step in plan.steps:
        if evaluate.before and step.name == f"{plan.recipe.stages[0].name}/train":
            steps.append(_make_step(plan, evaluate, None, sets))
        steps.append(step)
        ended = next((each for each in evaluated_stages(plan) if step.name == f"{each.name}/handover"), None)
        if ended is not None:
            steps.append(_make_step(plan, evaluate, ended, sets))
    return Planned(replace(plan, steps=tuple(steps)), reasons, tuple(missing))


def evaluated_stages(plan: Plan) -> list[Stage]:
    """Return the stages whose models are evaluated."""
    evaluate, stages = plan.recipe.evaluate, plan.recipe.stages
    if evaluate is None:
        return []
    return stages[-1:] if evaluate.after == "last" else stages


def evaluation_target(plan: Plan, stage: Stage | None) -> Target:
    """Return the model of a stage, or the one that the first stage starts from, as a target."""
    first, home = plan.recipe.stages[0], plan.directory / FOLDER
    if stage is None:
        label, model, stage = f"{first.name}@0", plan.initial_model(first), first
    else:
        label, model = stage.name, str(plan.paths(stage.name).model)
    return Target(f"{plan.recipe.name}/{label}", label, model, home, plan, stage)


def evaluation_folder(plan: Plan, stage: Stage | None) -> Path:
    """Return the folder of an evaluation of the recipe."""
    assert plan.recipe.evaluate is not None
    return output_folder(evaluation_target(plan, stage), options_of(plan.recipe.evaluate))


def own_stages(plan: Plan, stage: Stage | None) -> list[RlStage]:
    """Return the stages on whose validation rows a model is evaluated: its own, and those that it is the start of.

    Args:
        plan: The plan.
        stage: The model's stage; None: the model before the first stage.
    """
    recipe = plan.recipe
    found = [stage] if isinstance(stage, RlStage) else []
    found += [each for each in recipe.stages if isinstance(each, RlStage) and stage in _starts(plan, each)]
    # A last SFT stage has none: it is measured by the stages before it.
    return found or [each for each in recipe.stages if isinstance(each, RlStage)][-1:]


def _starts(plan: Plan, stage: RlStage) -> list[Stage | None]:
    """Return the models before a stage's training, back to the model of another RL stage; None is the base model."""
    found: list[Stage | None] = []
    for earlier in plan.recipe.lineage(stage)[1:]:
        found.append(earlier)
        if isinstance(earlier, RlStage):
            return found
    root = plan.recipe.lineage(stage)[-1]
    return [*found, None] if plan.initial_model(root) == plan.initial_model(plan.recipe.stages[0]) else found


def _load_sets(loaded: Loaded, evaluate: Evaluate) -> tuple[list[SetSpec | None], dict[str, str]]:
    """Return the sets, None for the rows of the stages, and name -> a line for each that is left out."""
    sets: list[SetSpec | None] = []
    left_out = {}
    for index, name in enumerate(evaluate.on):
        where, key = loaded.where("evaluate", "on", index), f"evaluate.on[{index}]"
        try:
            if name == OWN:
                sets.append(None)
                continue
            given = load_chosen(name, options_of(evaluate))
            try:
                require_source(given)
            except MissingSourceError as error:
                left_out[given.name] = f"{where}: {key}: left out: {error}"
                continue
            if given.name in [each.name for each in sets if each is not None]:
                raise InputError(f"two sets are called {given.name!r}")
            sets.append(to_set_spec(given, evaluate.limit))
        except InputError as error:
            raise error_at(where, key, str(error)) from None
    return sets, left_out


def _make_step(plan: Plan, evaluate: Evaluate, stage: Stage | None, given: Sequence[SetSpec | None]) -> Step:
    target, folder = evaluation_target(plan, stage), evaluation_folder(plan, stage)
    options = options_of(evaluate)
    sets: list[SetSpec] = []
    for each in given:
        sets += [each] if each is not None else [render_own(plan, own, options) for own in own_stages(plan, stage)]
    model = f"the model of {stage.name}" if stage is not None else "the model before the first stage"
    inputs = {"the model": target.model}
    for one in sets:
        inputs[f"source of {one.name}"] = one.definition["data"]["source"]
        files = [each["file"] for each in (one.definition["data"], *one.rewards) if each.get("file")]
        inputs |= {f"file {Path(file).name} of {one.name}": file for file in files}
    return Step(
        name=f"{stage.name}/{STEP}" if stage is not None else STEP,
        title=f"evaluate {model} on {', '.join(each.name for each in sets)}",
        stage=stage.name if stage is not None else None,
        trainer=None,
        directory=folder,
        launch=Launch(
            argv=(str(plan.machine.orchestrator), "-m", "pipelines.evaluation.job", specs.FILE),
            files={specs.FILE: specs.dump(make_spec(target, options, folder, sets))},
        ),
        inputs=inputs,
        outputs=tuple(folder / each.name / SUMMARY for each in sets),
        optional=True,
        uses=("verl",),
    )
