"""Turn a recipe into steps. Pure: the same recipe and machine give the same plan."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pipelines.errors import InputError
from pipelines.recipe.schema import Recipe, RlStage, SftStage, TinyModel
from pipelines.shipped import CODE, import_path
from pipelines.trainers.base import Context, Launch, Platform, StagePaths, Trainer, rows_folder
from pipelines.trainers.llamafactory import trainer as llamafactory
from pipelines.trainers.verl.rendering import template_arguments
from pipelines.trainers.verl.rl import trainer as verl_rl
from pipelines.trainers.verl.rl.entry import checkout_folder, digest_sources
from pipelines.trainers.verl.sft import trainer as verl_sft
from preprocess.config import Split
from preprocess.sources import hub
from rewards.builtin import interpreter_tool

MODEL = "model"
"""The name of the step that makes a tiny model, or downloads the recipe's model at its revision."""

_FETCH = "fetch"
"""The step of a stage that downloads the model of its `init_from` at its revision."""

PROMPTS = "prompts"
"""The name of the step that counts the prompts of all stages."""

_TRAINERS: Mapping[tuple[str, str], Trainer[Any]] = {
    ("sft", "llamafactory"): llamafactory,
    ("sft", "verl"): verl_sft,
    ("rl", "verl"): verl_rl,
}


@dataclass(frozen=True)
class Machine:
    """What a plan needs to know of the machine."""

    platform: Platform
    orchestrator: Path
    """The Python that runs this project."""
    pythons: Mapping[str, Path]
    """Trainer -> the Python of its environment."""
    sources: Mapping[str, Path]
    """Trainer -> its pinned checkout."""
    variables: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Trainer -> variables that make this project importable in an environment that the user built."""


@dataclass(frozen=True)
class Step:
    """One command of the run."""

    name: str
    """`<stage>/<step>`, or `model` for a tiny model."""
    title: str
    """What it does, in words."""
    stage: str | None
    """The stage it belongs to."""
    trainer: str | None
    """The trainer in whose environment it runs; None: the orchestrator's."""
    directory: Path
    """The folder of its command.sh, configuration, log and record."""
    launch: Launch
    inputs: Mapping[str, str] = field(default_factory=dict)
    """What it reads: a display name -> a path or a hub name."""
    outputs: tuple[Path, ...] = ()
    """What it writes for later steps; each is checked before the step is skipped."""
    follows: tuple[str, ...] = ()
    """Steps after whose re-run this one must run again."""
    optional: bool = False
    """Whether the run continues if it fails."""
    uses: tuple[str, ...] = ()
    """Trainers whose environments its processes run in: all that must be built before it starts."""

    @property
    def prepares(self) -> bool:
        """Whether it prepares a stage's rows."""
        return self.name.endswith("/prepare")

    @property
    def makes_model(self) -> bool:
        """Whether it makes or downloads a model that stages start from."""
        return self.name == MODEL or self.name.endswith(f"/{_FETCH}")

    @property
    def trains(self) -> bool:
        """Whether it trains a stage."""
        return self.name.endswith("/train")


@dataclass(frozen=True)
class Plan:
    """All steps, in order."""

    recipe: Recipe
    machine: Machine
    directory: Path
    """The run directory."""
    steps: tuple[Step, ...] = ()

    @property
    def places(self) -> Mapping[str, Path]:
        """Folders whose location does not affect training: name -> path."""
        places = {"run": self.directory, "project": CODE, "packages": import_path()}
        places |= {f"{name} python": path for name, path in self.machine.pythons.items()}
        entries = (stage for stage in self.recipe.stages if isinstance(stage, RlStage) and stage.entry is not None)
        places |= {f"{stage.name} checkout": checkout_folder(str(stage.checkout)) for stage in entries}
        return places | {f"{name} source": path for name, path in self.machine.sources.items()}

    def step(self, name: str) -> Step:
        """Return the step of that name."""
        return next(step for step in self.steps if step.name == name)

    def paths(self, stage: str) -> StagePaths:
        """Return the paths of a stage."""
        return stage_paths(self.directory, stage)

    def initial_model(self, stage: SftStage | RlStage) -> str:
        """Return the initial model of a stage: a folder or a hub name."""
        if (previous := self.recipe.previous(stage)) is not None:
            return str(self.paths(previous.name).model)
        if stage.init_from is not None:
            return str(self.paths(stage.name).step(_FETCH) / "model") if stage.revision else stage.init_from
        model = self.recipe.model
        return str(self.directory / "model") if isinstance(model, TinyModel) or self.recipe.revision else model

    def context(self, stage: SftStage | RlStage) -> Context:
        """Return the context of the stage's trainer."""
        return Context(
            recipe=self.recipe,
            platform=self.machine.platform,
            python=self.machine.pythons[stage.trainer],
            source=self.machine.sources[stage.trainer],
            paths=self.paths(stage.name),
            model=self.initial_model(stage),
            ray=self.machine.pythons.get("verl") if self.recipe.uses_cluster else None,
        )

    def split_stages(self, first: str | None, last: str | None) -> tuple[list[str], list[str]]:
        """Return the names of the stages whose models the selected stages start from, and of the selected stages.

        Args:
            first: `--from`: the first stage.
            last: `--until`: the last stage.

        Raises:
            InputError: an unknown stage, or no stage is selected.
        """
        names = [stage.name for stage in self.recipe.stages]
        for name in (first, last):
            if name is not None and name not in names:
                raise InputError(f"no stage {name!r}; the stages are {', '.join(names)}")
        start, end = names.index(first or names[0]), names.index(last or names[-1])
        if start > end:
            raise InputError(f"--from {first} comes after --until {last}: no stage is selected")
        selected = names[start : end + 1]
        previous = [self.recipe.previous(stage) for stage in self.recipe.stages[start : end + 1]]
        return list(dict.fromkeys(each.name for each in previous if each is not None and each.name not in selected)), selected

    def find_missing_models(self, first: str | None, last: str | None) -> list[str]:
        """Return a line for each model that the selected stages start from and that is not there."""
        used, selected = self.split_stages(first, last)
        missing = [name for name in used if not self.paths(name).model.is_dir()]
        return [f"--from {selected[0]}: stage {name} before it has no model yet; run it first" for name in missing]

    def select(self, first: str | None = None, last: str | None = None) -> list[Step]:
        """Return the steps of some stages, in order, with the rows that they need.

        Args:
            first: `--from`: the first stage; the models of earlier stages are used as they are.
            last: `--until`: the last stage.

        Raises:
            InputError: an unknown stage, or no stage is selected.
        """
        _, selected = self.split_stages(first, last)
        stages = self.recipe.stages
        begins = stages[0].name in selected
        chosen = [
            step for step in self.steps if step.stage in selected or step.name == PROMPTS or (step.stage is None and begins)
        ]
        inputs = {Path(path).parent for step in chosen if step.name != PROMPTS for path in step.inputs.values()}
        # A tiny model's vocabulary comes from the rows of all stages; an evaluation uses those of later ones.
        needed = [stage for stage in stages if stage.name in selected or self.paths(stage.name).data in inputs]
        counted = [stage for stage in stages if stage in needed or self._has_counted(stage)]
        steps = [step for step in self.steps if step in chosen or (step.prepares and step.stage in {s.name for s in needed})]
        if len(counted) == len(stages):
            return steps
        restricted = _in_environment(_count_prompts(self, counted, selected), self.machine)
        return [restricted if step.name == PROMPTS else step for step in steps]

    def _has_counted(self, stage: SftStage | RlStage) -> bool:
        """Return whether the prompts of a stage can be counted although it is not selected: its rows and model are here."""
        model = Path(self.initial_model(self.recipe.lineage(stage)[-1]))
        return self.paths(stage.name).data.is_dir() and (not model.is_absolute() or model.is_dir())


def stage_paths(directory: Path, stage: str) -> StagePaths:
    """Return the paths of a stage."""
    return StagePaths(directory / "stages" / stage)


def trainer_module(stage: SftStage | RlStage) -> Trainer[Any]:
    """Return the module that trains the stage."""
    return _TRAINERS[stage.kind, stage.trainer]


def make_plan(recipe: Recipe, machine: Machine, directory: Path) -> Plan:
    """Return the steps of a recipe.

    The rows of all stages are prepared first, so that a mistake in the data of stage three does not cost the GPU hours of
    stage one. Then a tiny model is made if the recipe has one, the prompts of all stages are counted, and each stage is
    trained, exported and handed over.
    """
    plan = Plan(recipe, machine, directory)
    steps = [_prepare(plan, stage) for stage in recipe.stages]
    if isinstance(recipe.model, TinyModel):
        steps.append(_make_model(plan, recipe.model))
    elif recipe.revision is not None and recipe.stages[0].init_from is None:
        folder = directory / "fetch-model"
        steps.append(_fetch_model(plan, recipe.stages[0], MODEL, folder, recipe.model, recipe.revision, directory / "model"))
    for stage in recipe.stages:
        if stage.init_from is not None and stage.revision is not None:
            folder, name = plan.paths(stage.name).step(_FETCH), f"{stage.name}/{_FETCH}"
            steps.append(_fetch_model(plan, stage, name, folder, stage.init_from, stage.revision, folder / "model"))
    steps.append(_count_prompts(plan, recipe.stages, [stage.name for stage in recipe.stages]))
    for stage in recipe.stages:
        steps += _train_export_hand_over(plan, stage)
    return replace(plan, steps=tuple(_in_environment(step, machine) for step in steps))


def _in_environment(step: Step, machine: Machine) -> Step:
    """Return the step with the variables of its trainer's environment."""
    ours = machine.variables.get(step.trainer or "", {})
    variables = {**ours, **step.launch.environment}
    if {"PYTHONPATH"} <= ours.keys() & step.launch.environment.keys():
        # Of an entry point: its code comes first.
        variables["PYTHONPATH"] = os.pathsep.join([step.launch.environment["PYTHONPATH"], ours["PYTHONPATH"]])
    return replace(step, launch=replace(step.launch, environment=variables))


def _prepare(plan: Plan, stage: SftStage | RlStage) -> Step:
    paths, data, sandbox = plan.paths(stage.name), stage.data, plan.recipe.sandbox
    held_out = data.validation.model_dump() if isinstance(data.validation, Split) else data.validation
    settings = {
        "shape": stage.kind,
        "train": [_dump(source) for source in data.train_sources],
        "validation": [_dump(source) for source in data.validation_sources] or held_out,
        "shuffle": data.shuffle,
        "seed": plan.recipe.seed,
        "decontaminate": _dump(data.decontaminate) if data.decontaminate else None,
        "max_rejects": data.max_rejects,
        "output": str(paths.data),
    }
    # Where programs run, and which Python downloads, does not change the rows.
    uncached: dict[str, object] = {"sandbox": place} if (place := sandbox.model_dump(exclude_defaults=True)) else {}
    downloads = any(map(hub.parse, [source.source for source in stage.sources] + _evaluation_sets(stage)))
    if downloads:
        python, folder = plan.machine.pythons[stage.trainer], paths.step("prepare") / "cache"
        uncached["hub"] = {"python": str(python), "folder": str(folder)}
    return Step(
        name=f"{stage.name}/prepare",
        title=f"prepare the rows of {stage.name}",
        stage=stage.name,
        trainer=None,
        directory=paths.step("prepare"),
        launch=Launch(
            argv=(str(plan.machine.orchestrator), "-m", "preprocess.jobs.prepare", "prepare.json"),
            files={"prepare.json": _json(settings | uncached)},
            cache_key_files={"prepare.json": _json(settings)},
        ),
        inputs={f"source {source.source}": source.source for source in stage.sources}
        | {f"converter file {source.file}": source.file for source in stage.sources if source.file}
        | filter_files(stage),
        outputs=(paths.data,),
        uses=(stage.trainer,) if downloads else (),
    )


def _dump(value: BaseModel) -> Any:
    """Return a part of the recipe without the revisions that it does not set.

    Rows that an earlier version prepared stay prepared: its records know no revisions.
    """

    def drop(found: Any) -> Any:
        if isinstance(found, dict):
            return {key: drop(each) for key, each in found.items() if key != "revision" or each is not None}
        return [drop(each) for each in found] if isinstance(found, list) else found

    return drop(value.model_dump())


def filter_files(stage: SftStage | RlStage) -> dict[str, str]:
    """Return the files that decide which rows are left out: pass rates and evaluation sets."""
    rates = [source.pass_rates.file for source in stage.sources if source.pass_rates]
    return {f"pass rates {file}": file for file in rates} | {f"evaluation set {each}": each for each in _evaluation_sets(stage)}


def _evaluation_sets(stage: SftStage | RlStage) -> list[str]:
    return [each.source for each in stage.data.decontaminate.against] if stage.data.decontaminate else []


def _make_model(plan: Plan, model: TinyModel) -> Step:
    rows = {stage.name: str(plan.paths(stage.name).data / "train.parquet") for stage in plan.recipe.stages}
    output, trainer = plan.directory / "model", plan.recipe.stages[0].trainer
    settings = {"seed": plan.recipe.seed, "rows": list(rows.values()), "output": str(output)}
    copied: dict[str, str] = {}
    if model.like is not None and Path(model.like).is_absolute():
        names = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
        copied = {f"{name} of {model.like}": str(Path(model.like) / name) for name in names}
    return Step(
        name=MODEL,
        title=f"make a tiny {model.make} model",
        stage=None,
        trainer=trainer,
        directory=plan.directory / "make-model",
        launch=Launch(
            argv=(str(plan.machine.pythons[trainer]), "-m", "pipelines.models.tiny", "model.json"),
            files={"model.json": _json(model.model_dump(exclude_none=True) | settings)},
        ),
        inputs={f"rows of {name}": path for name, path in rows.items()} | copied,
        outputs=(output,),
        uses=(trainer,),
    )


def _fetch_model(
    plan: Plan, stage: SftStage | RlStage, name: str, folder: Path, model: str, revision: str, output: Path
) -> Step:
    """Download a model at a revision; a link to it is a model folder like any other."""
    return Step(
        name=name,
        title=f"download {model} at {revision}",
        stage=None if name == MODEL else stage.name,
        trainer=stage.trainer,
        directory=folder,
        launch=Launch(
            argv=(str(plan.machine.pythons[stage.trainer]), "-m", "pipelines.models.fetch", "fetch.json"),
            environment={"HF_HUB_DISABLE_TELEMETRY": "1"},
            files={"fetch.json": _json({"name": model, "revision": revision, "output": str(output)})},
        ),
        outputs=(output,),
        uses=(stage.trainer,),
    )


def _count_prompts(plan: Plan, counted: Sequence[SftStage | RlStage], selected: Collection[str]) -> Step:
    """Count in one process for all stages, because importing transformers takes longer than counting.

    Args:
        plan: The plan.
        counted: The stages whose prompts are counted.
        selected: The names of the stages that run.
    """
    trainer = counted[0].trainer
    inputs: dict[str, str] = {}
    stages, outputs = [], []
    for stage in counted:
        paths = plan.paths(stage.name)
        _, *earlier = lineage = plan.recipe.lineage(stage)
        # A selected stage that starts from the model of an earlier run does not need the model before that one.
        own = [each for each in lineage if each.name in selected] if stage.name in selected else lineage
        given = plan.initial_model(lineage[-1])
        is_here = not Path(given).is_absolute() or Path(given).is_dir()
        model = given if own == lineage or is_here else plan.initial_model(own[-1])
        files = {split: str(paths.data / f"{split}.parquet") for split in ("train", "validation")}
        stages.append(
            {
                "name": stage.name,
                "shape": stage.kind,
                "model": model,
                "taught": any(isinstance(each, SftStage) for each in earlier),
                "files": files,
                "limit": stage.max_tokens if isinstance(stage, SftStage) else stage.rollout.max_prompt_tokens,
                "max_overlong": stage.data.max_overlong,
                "output": str(paths.prompts),
                **overlong_of(stage, paths),
                **counting_of(stage),
            }
        )
        outputs += [paths.prompts, *([paths.fitting] if rows_folder(stage, paths) == paths.fitting else [])]
        inputs |= {f"{split} rows of {stage.name}": path for split, path in files.items()} | {f"tokenizer of {model}": model}
    return Step(
        name=PROMPTS,
        title="render and count the prompts of all stages",
        stage=None,
        trainer=trainer,
        directory=plan.directory / "count-prompts",
        launch=Launch(
            argv=(str(plan.machine.pythons[trainer]), "-m", "preprocess.prompts.lengths", "prompts.json"),
            environment={"HF_HUB_DISABLE_TELEMETRY": "1"},
            files={"prompts.json": _json({"stages": stages})},
        ),
        inputs=inputs,
        outputs=tuple(outputs),
        uses=(trainer,),
    )


def overlong_of(stage: SftStage | RlStage, paths: StagePaths) -> dict[str, Any]:
    """Return what counting does with rows that are too long; empty: it reports them, and the trainer does the usual."""
    if stage.overlong == ("cut" if stage.kind == "sft" else "leave_out"):
        return {}
    fitting = {"fitting": str(paths.fitting)} if rows_folder(stage, paths) == paths.fitting else {}
    return {"overlong": stage.overlong, **fitting}


def counting_of(stage: SftStage | RlStage) -> dict[str, Any]:
    """Return how the stage's rows are rendered for counting, as its trainer renders them.

    With its tool and its arguments of the chat template; verl's trainer renders conversations turn by turn.
    """
    arguments = {"arguments": found} if (found := template_arguments(stage)) else {}
    if isinstance(stage, SftStage):
        return arguments | ({"by_turns": True} if stage.trainer == "verl" else {})
    return arguments | ({"tools": {interpreter_tool.NAME: interpreter_tool.SCHEMA}} if stage.tool is not None else {})


def _train_export_hand_over(plan: Plan, stage: SftStage | RlStage) -> list[Step]:
    context, module, name, trainer = plan.context(stage), trainer_module(stage), stage.name, stage.trainer
    paths, python, pythons = context.paths, context.python, plan.machine.pythons
    rows = rows_folder(stage, paths)
    rewards = [reward.file for reward in stage.rewards if reward.file] if isinstance(stage, RlStage) else []
    train = Step(
        name=f"{name}/train",
        title=f"train {name} with {trainer}",
        stage=name,
        trainer=trainer,
        directory=paths.step("train"),
        launch=module.launch(stage, context),
        inputs={
            "train.parquet": str(rows / "train.parquet"),
            "validation.parquet": str(rows / "validation.parquet"),
            "the model it starts from": context.model,
            **{f"reward file {place}, {Path(file).name}": file for place, file in enumerate(rewards, 1)},
            **_entry_code(stage),
        },
        uses=(trainer,) if trainer == "verl" or plan.recipe.hardware_of(stage).nodes == 1 else (trainer, "verl"),
    )
    steps = [train]
    export = module.export(stage, context)
    if export is not None:
        steps.append(
            Step(
                name=f"{name}/export",
                title=f"export the model of {name} to HuggingFace format",
                stage=name,
                trainer=trainer,
                directory=paths.step("export-model"),
                launch=export,
                follows=(train.name,),
                uses=(trainer,),
            )
        )
    # Other environments that will load the model.
    others = {each.trainer for each in plan.recipe.stages if plan.recipe.previous(each) is stage} - {trainer}
    readers = {pythons[each] for each in others} - {python}
    settings = {
        "exported": str(paths.checkpoint if export is None else paths.export),
        "before": context.model,
        "model": str(paths.model),
        "readers": sorted(map(str, readers)),
    }
    hand_over = Step(
        name=f"{name}/handover",
        title=f"check the model of {name} and hand it over",
        stage=name,
        trainer=trainer,
        directory=paths.step("handover"),
        launch=Launch(
            argv=(str(python), "-m", "pipelines.run.handover", "handover.json"),
            environment={"HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false"},
            files={"handover.json": _json(settings)},
        ),
        outputs=(paths.model,),
        follows=(steps[-1].name,),
        uses=(trainer, *sorted(others)),
    )
    return [*steps, hand_over]


def _entry_code(stage: SftStage | RlStage) -> dict[str, str]:
    """Return the digest of the code of the stage's entry point, as an input that is not a path."""
    if not isinstance(stage, RlStage) or stage.entry is None:
        return {}
    checkout = checkout_folder(str(stage.checkout))
    return {f"the code of {stage.entry}": f"files {digest_sources(checkout)}" if checkout.is_dir() else "not found"}


def _json(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
