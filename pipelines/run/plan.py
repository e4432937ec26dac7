"""Turn a recipe into steps. Pure: the same recipe and machine give the same plan."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipelines.recipe.schema import Recipe, RlStage, SftStage, TinyModel
from pipelines.shipped import CODE, import_folder
from pipelines.trainers.base import Context, Launch, Platform, StagePaths, Trainer
from preprocess.config import Data, Source, Split, Validation
from preprocess.sources import hub
from rewards.builtin import interpreter_tool

MODEL = "model"
"""The name of the step that makes a tiny model."""

PROMPTS = "prompts"
"""The name of the step that counts the prompts of all stages."""


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


@dataclass(frozen=True)
class Plan:
    """All steps, in order."""

    recipe: Recipe
    machine: Machine
    directory: Path
    """The run directory."""
    steps: tuple[Step, ...]
    places: Mapping[str, Path]
    """Folders whose location does not affect training: name -> path."""

    def step(self, name: str) -> Step:
        """Return the step of that name."""
        return next(step for step in self.steps if step.name == name)

    def paths(self, stage: str) -> StagePaths:
        """Return the paths of a stage."""
        return stage_paths(self.directory, stage)

    def context(self, stage: SftStage | RlStage) -> Context:
        """Return the context of the stage's trainer."""
        return _context(self.recipe, self.machine, self.directory, stage)


def stage_paths(directory: Path, stage: str) -> StagePaths:
    """Return the paths of a stage."""
    return StagePaths(directory / "stages" / stage)


def make_plan(recipe: Recipe, machine: Machine, directory: Path) -> Plan:
    """Return the steps of a recipe.

    The rows of all stages are prepared first, so that a mistake in the data of stage three does not cost the GPU hours of
    stage one. Then a tiny model is made if the recipe has one, the prompts of all stages are counted, and each stage is
    trained, exported and handed over.
    """
    steps = [_prepare(recipe, machine, directory, stage) for stage in recipe.stages]
    if isinstance(recipe.model, TinyModel):
        steps.append(_make_model(recipe, recipe.model, machine, directory))
    steps.append(_count_prompts(recipe, machine, directory))
    for stage in recipe.stages:
        readers = _find_readers(recipe, machine, directory, stage)
        steps += _train_export_hand_over(_context(recipe, machine, directory, stage), stage, readers)
    steps = [_in_environment(step, machine) for step in steps]
    places = {"run": directory, "project": CODE, "packages": import_folder()}
    places |= {f"{name} python": path for name, path in machine.pythons.items()}
    places |= {f"{name} source": path for name, path in machine.sources.items()}
    return Plan(recipe, machine, directory, tuple(steps), places)


def _in_environment(step: Step, machine: Machine) -> Step:
    """Return the step with the variables of its trainer's environment."""
    variables = machine.variables.get(step.trainer or "", {})
    if not variables:
        return step
    return replace(step, launch=replace(step.launch, environment={**variables, **step.launch.environment}))


def initial_model(recipe: Recipe, directory: Path, stage: SftStage | RlStage) -> str:
    """Return the initial model of a stage: a folder or a hub name."""
    names = [each.name for each in recipe.stages]
    if stage.init_from is not None:
        return str(stage_paths(directory, stage.init_from).model) if stage.init_from in names else stage.init_from
    position = names.index(stage.name)
    if position > 0:
        return str(stage_paths(directory, names[position - 1]).model)
    return str(directory / "model") if isinstance(recipe.model, TinyModel) else recipe.model


def trainer_of(stage: SftStage | RlStage) -> str:
    """Return the name of the stage's trainer."""
    return stage.trainer if isinstance(stage, SftStage) else "verl"


def _context(recipe: Recipe, machine: Machine, directory: Path, stage: SftStage | RlStage) -> Context:
    trainer = trainer_of(stage)
    return Context(
        recipe=recipe,
        platform=machine.platform,
        python=machine.pythons[trainer],
        source=machine.sources[trainer],
        paths=stage_paths(directory, stage.name),
        model=initial_model(recipe, directory, stage),
    )


def _prepare(recipe: Recipe, machine: Machine, directory: Path, stage: SftStage | RlStage) -> Step:
    paths = stage_paths(directory, stage.name)
    settings = {
        "shape": stage.kind,
        "train": [source.model_dump() for source in _sources(stage.data.train)],
        "validation": _dump_validation(stage.data.validation),
        "shuffle": stage.data.shuffle,
        "seed": recipe.seed,
        "decontaminate": stage.data.decontaminate.model_dump() if stage.data.decontaminate else None,
        "max_rejects": stage.data.max_rejects,
        "output": str(paths.data),
    }
    # Where programs run, and which Python downloads, does not change the rows.
    place = recipe.sandbox.model_dump(exclude_defaults=True)
    uncached: dict[str, object] = {"sandbox": place} if place else {}
    if any(map(hub.parse, [source.source for source in all_sources(stage.data)] + _evaluation_sets(stage))):
        python, folder = machine.pythons[trainer_of(stage)], paths.step("prepare") / "cache"
        uncached["hub"] = {"python": str(python), "folder": str(folder)}
    return Step(
        name=f"{stage.name}/prepare",
        title=f"prepare the rows of {stage.name}",
        stage=stage.name,
        trainer=None,
        directory=paths.step("prepare"),
        launch=Launch(
            argv=(str(machine.orchestrator), "-m", "preprocess.jobs.prepare", "prepare.json"),
            files={"prepare.json": _json(settings | uncached)},
            cache_key_files={"prepare.json": _json(settings)},
        ),
        inputs={f"source {source.source}": source.source for source in all_sources(stage.data)}
        | _converter_files(stage)
        | filter_files(stage),
        outputs=(paths.data,),
    )


def filter_files(stage: SftStage | RlStage) -> dict[str, str]:
    """Return the files that decide which rows are left out: pass rates and evaluation sets."""
    rates = [source.pass_rates.file for source in all_sources(stage.data) if source.pass_rates]
    return {f"pass rates {file}": file for file in rates} | {f"evaluation set {each}": each for each in _evaluation_sets(stage)}


def _evaluation_sets(stage: SftStage | RlStage) -> list[str]:
    return [each.source for each in stage.data.decontaminate.against] if stage.data.decontaminate else []


def _make_model(recipe: Recipe, model: TinyModel, machine: Machine, directory: Path) -> Step:
    rows = [str(stage_paths(directory, stage.name).data / "train.parquet") for stage in recipe.stages]
    settings = model.model_dump(exclude_none=True) | {"seed": recipe.seed, "rows": rows, "output": str(directory / "model")}
    trainer = trainer_of(recipe.stages[0])
    return Step(
        name=MODEL,
        title=f"make a tiny {model.make} model",
        stage=None,
        trainer=trainer,
        directory=directory / "make-model",
        launch=Launch(
            argv=(str(machine.pythons[trainer]), "-m", "pipelines.models.tiny", "model.json"),
            files={"model.json": _json(settings)},
        ),
        inputs={f"rows of {stage.name}": path for stage, path in zip(recipe.stages, rows, strict=True)}
        | _likeness_files(model),
        outputs=(directory / "model",),
    )


def _likeness_files(model: TinyModel) -> dict[str, str]:
    """Return the files that a tiny model copies from another model's folder; its weights are not read."""
    if model.like is None or not Path(model.like).is_absolute():
        return {}
    names = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
    return {f"{name} of {model.like}": str(Path(model.like) / name) for name in names}


def _count_prompts(recipe: Recipe, machine: Machine, directory: Path) -> Step:
    """Count in one process for all stages, because importing transformers takes longer than counting."""
    trainer = trainer_of(recipe.stages[0])
    inputs: dict[str, str] = {}
    stages, outputs = [], []
    for stage in recipe.stages:
        paths = stage_paths(directory, stage.name)
        model, taught = _first_model(recipe, directory, stage)
        files = {split: str(paths.data / f"{split}.parquet") for split in ("train", "validation")}
        stages.append(
            {
                "name": stage.name,
                "shape": stage.kind,
                "model": model,
                "taught": taught,
                "files": files,
                "limit": stage.max_tokens if isinstance(stage, SftStage) else stage.rollout.max_prompt_tokens,
                "max_overlong": stage.data.max_overlong,
                "output": str(paths.prompts),
                **counting_of(stage),
            }
        )
        inputs |= {f"{split} rows of {stage.name}": path for split, path in files.items()} | {f"tokenizer of {model}": model}
        outputs.append(paths.prompts)
    return Step(
        name=PROMPTS,
        title="render and count the prompts of all stages",
        stage=None,
        trainer=trainer,
        directory=directory / "count-prompts",
        launch=Launch(
            argv=(str(machine.pythons[trainer]), "-m", "preprocess.prompts.lengths", "prompts.json"),
            environment={"HF_HUB_DISABLE_TELEMETRY": "1"},
            files={"prompts.json": _json({"stages": stages})},
        ),
        inputs=inputs,
        outputs=tuple(outputs),
    )


def counting_of(stage: SftStage | RlStage) -> dict[str, Any]:
    """Return how the stage's rows are rendered for counting: with its tool, or turn by turn, as verl's SFT trainer does."""
    if isinstance(stage, SftStage):
        return {"by_turns": True} if stage.trainer == "verl" else {}
    return {"tools": {interpreter_tool.NAME: interpreter_tool.SCHEMA}} if stage.tool is not None else {}


def _first_model(recipe: Recipe, directory: Path, stage: SftStage | RlStage) -> tuple[str, bool]:
    """Return the model whose tokenizer the stage uses, and whether an SFT stage trains it first."""
    names = {str(stage_paths(directory, each.name).model): each for each in recipe.stages}
    model, taught = initial_model(recipe, directory, stage), False
    while model in names:
        taught = taught or isinstance(names[model], SftStage)
        model = initial_model(recipe, directory, names[model])
    return model, taught


def _train_export_hand_over(context: Context, stage: SftStage | RlStage, readers: Sequence[Path]) -> list[Step]:
    paths, trainer = context.paths, trainer_of(stage)
    module = trainer_module(stage)
    train = Step(
        name=f"{stage.name}/train",
        title=f"train {stage.name} with {trainer}",
        stage=stage.name,
        trainer=trainer,
        directory=paths.step("train"),
        launch=module.launch(stage, context),
        inputs={
            "train.parquet": str(paths.data / "train.parquet"),
            "validation.parquet": str(paths.data / "validation.parquet"),
            "the model it starts from": context.model,
            **_reward_files(stage),
        },
    )
    steps = [train]
    exported = paths.checkpoint
    export = module.export(stage, context)
    if export is not None:
        exported = paths.export
        steps.append(
            Step(
                name=f"{stage.name}/export",
                title=f"export the model of {stage.name} to HuggingFace format",
                stage=stage.name,
                trainer=trainer,
                directory=paths.step("export-model"),
                launch=export,
                follows=(train.name,),
            )
        )
    settings = {
        "exported": str(exported),
        "before": context.model,
        "model": str(paths.model),
        "readers": [str(python) for python in readers],
    }
    hand_over = Step(
        name=f"{stage.name}/handover",
        title=f"check the model of {stage.name} and hand it over",
        stage=stage.name,
        trainer=trainer,
        directory=paths.step("handover"),
        launch=Launch(
            argv=(str(context.python), "-m", "pipelines.run.handover", "handover.json"),
            environment={"HF_HUB_DISABLE_TELEMETRY": "1", "TOKENIZERS_PARALLELISM": "false"},
            files={"handover.json": _json(settings)},
        ),
        outputs=(paths.model,),
        follows=(steps[-1].name,),
    )
    return [*steps, hand_over]


def _converter_files(stage: SftStage | RlStage) -> dict[str, str]:
    """Return the files of custom converters: a change makes other rows."""
    return {f"converter file {source.file}": source.file for source in all_sources(stage.data) if source.file}


def _reward_files(stage: SftStage | RlStage) -> dict[str, str]:
    """Return the files of custom rewards: a change means another training."""
    files = [reward.file for reward in stage.rewards if reward.file] if isinstance(stage, RlStage) else []
    return {f"reward file {place}, {Path(file).name}": file for place, file in enumerate(files, 1)}


def _find_readers(recipe: Recipe, machine: Machine, directory: Path, stage: SftStage | RlStage) -> list[Path]:
    """Return the Pythons, other than the stage's, that will load its model."""
    model = str(stage_paths(directory, stage.name).model)
    after = [each for each in recipe.stages if initial_model(recipe, directory, each) == model]
    return sorted({machine.pythons[trainer_of(each)] for each in after} - {machine.pythons[trainer_of(stage)]})


def trainer_module(stage: SftStage | RlStage) -> Trainer[Any]:
    """Return the module that trains the stage (`pipelines.trainers.base.Trainer`)."""
    if trainer_of(stage) == "llamafactory":
        from pipelines.trainers.llamafactory import trainer as llamafactory

        return llamafactory
    if isinstance(stage, SftStage):
        from pipelines.trainers.verl.sft import trainer as sft

        return sft
    from pipelines.trainers.verl.rl import trainer as rl

    return rl


def all_sources(data: Data) -> list[Source]:
    """Return every source of a stage, training and validation."""
    held_out = [] if isinstance(data.validation, Split | str) else _sources(data.validation)
    return [*_sources(data.train), *held_out]


def _dump_validation(validation: Validation) -> object:
    if isinstance(validation, Split | str):
        return validation.model_dump() if isinstance(validation, Split) else validation
    return [source.model_dump() for source in _sources(validation)]


def _sources(sources: Source | list[Source]) -> list[Source]:
    return sources if isinstance(sources, list) else [sources]


def _json(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
