"""What can be found wrong before anything is started. Each finding is one line that says where and what."""

from __future__ import annotations

import sys
from pathlib import Path

from pipelines.checks.reward_packages import ask_for_reward
from pipelines.environments import Environment
from pipelines.recipe import deepspeed
from pipelines.recipe.loading import Loaded
from pipelines.recipe.schema import RlStage, SftStage, TinyModel
from pipelines.run.plan import Machine, all_sources, filter_files
from preprocess.sources import hub
from rewards.suggestions import nearest_path


def find_problems(loaded: Loaded, machine: Machine, environments: dict[str, Environment]) -> list[str]:
    """Everything that would make the run fail for a mistake in its input; an empty list when nothing is found."""
    return [
        *_missing_models(loaded),
        *find_data_problems(loaded),
        *_missing_deepspeed(loaded),
        *find_reward_problems(loaded, environments),
        *_unfit_environments(environments),
        *_unfit_hardware(loaded, machine),
    ]


def find_data_problems(loaded: Loaded) -> list[str]:
    """What would make the preparation of rows fail."""
    return [*_missing_sources(loaded), *_unknown_names(loaded)]


def _missing_models(loaded: Loaded) -> list[str]:
    recipe = loaded.recipe
    found: list[tuple[str, str, str]] = []
    if not isinstance(recipe.model, TinyModel):
        found.append((loaded.where("model"), "model", recipe.model))
    names = [stage.name for stage in recipe.stages]
    for stage in recipe.stages:
        if stage.init_from is not None and stage.init_from not in names:
            key = f"stages.{stage.name}.init_from"
            found.append((loaded.where("stages", stage.name, "init_from"), key, stage.init_from))
    problems = []
    for where, key, model in found:
        path = Path(model)
        if not path.is_absolute():
            continue  # a hub name
        if not path.is_dir():
            problems.append(f"{where}: {key}: there is no model folder {model}{nearest_path(path)}")
        elif not (path / "config.json").is_file():
            problems.append(f"{where}: {key}: {model} has no config.json; expected a HuggingFace model folder")
    return problems


def _missing_sources(loaded: Loaded) -> list[str]:
    problems = []
    for stage in loaded.recipe.stages:
        where = f"{loaded.where('stages', stage.name, 'data')}: stages.{stage.name}.data"
        for source in (*(each.source for each in all_sources(stage.data)), *filter_files(stage).values()):
            path = Path(source)
            if not path.is_absolute() and hub.parse(source) is None:
                problems.append(f"{where}: there is no {source}; expected a file, a folder, or owner/name on the hub")
            elif path.is_absolute() and not path.exists():
                problems.append(f"{where}: there is no {source}{nearest_path(path)}")
    return problems


def _unknown_names(loaded: Loaded) -> list[str]:
    """Converters that do not exist, and options that they do not have."""
    from preprocess.converters import find as find_converter
    from preprocess.errors import SourceError

    problems = []
    for stage in loaded.recipe.stages:
        for source in all_sources(stage.data):
            try:
                converter = find_converter(source.converter, Path(source.file) if source.file else None)
                converter.make(stage.kind)
                converter.find_record(converter.read_options(source.options))
            except SourceError as error:
                problems.append(f"{loaded.where('stages', stage.name, 'data')}: stages.{stage.name}.data: {error}")
        for each in stage.data.decontaminate.against if stage.data.decontaminate else []:
            try:
                if each.converter is not None:
                    find_converter(each.converter, Path(each.file) if each.file else None).read_options(each.options)
            except SourceError as error:
                where = loaded.where("stages", stage.name, "data", "decontaminate")
                problems.append(f"{where}: stages.{stage.name}.data.decontaminate: {error}")
    return problems


def _missing_deepspeed(loaded: Loaded) -> list[str]:
    """DeepSpeed files of one's own that are not there."""
    problems = []
    for stage in loaded.recipe.stages:
        file = stage.llamafactory.get("deepspeed") if isinstance(stage, SftStage) else None
        if isinstance(file, str) and deepspeed.is_path(file) and not Path(file).is_file():
            where = loaded.where("stages", stage.name, "llamafactory", "deepspeed")
            key = f"stages.{stage.name}.llamafactory.deepspeed"
            problems.append(f"{where}: {key}: there is no file {file}{nearest_path(Path(file))}")
    return problems


def find_reward_problems(loaded: Loaded, environments: dict[str, Environment]) -> list[str]:
    """Rewards that do not exist or do not load, options that they do not have, and packages that they lack."""
    from rewards.errors import MissingModuleError, RewardError
    from rewards.scoring.combination import read_entry

    problems = []
    for stage in loaded.recipe.stages:
        if not isinstance(stage, RlStage):
            continue
        for number, reward in enumerate(stage.rewards):
            place: tuple[str | int, ...] = ("stages", stage.name, "reward")
            key = f"stages.{stage.name}.reward"
            if isinstance(stage.reward, list):
                place, key = (*place, number), f"{key}.{reward.name}"
            where = f"{loaded.where(*place)}: {key}"
            try:
                ready = read_entry(reward.model_dump()).reward.ready
                if ready is not None and loaded.recipe.sandbox.url is None:
                    ready()
            except MissingModuleError as error:
                # The orchestrator's Python has no trainer's packages; the trainer's own has the last word.
                told = ask_for_reward(reward, loaded.recipe.sandbox, environments["verl"])
                if told is None:
                    print(f"note: {where}: {error}; checked when the environment is built", file=sys.stderr)
                elif told:
                    problems.append(f"{where}: {told}")
            except RewardError as error:
                problems.append(f"{where}: {error}")
    return problems


def _unfit_environments(environments: dict[str, Environment]) -> list[str]:
    """A Python that somebody else built has to be there; a pinned one is built when it is missing."""
    problems = []
    for each in environments.values():
        if not each.pinned and (reason := each.why_not_ready()):
            problems.append(f"{each.chosen_by}: {reason}")
    return problems


def _unfit_hardware(loaded: Loaded, machine: Machine) -> list[str]:
    recipe, problems = loaded.recipe, []
    if machine.platform == "cuda":
        there = len(list(Path("/dev").glob("nvidia[0-9]*")))
        asked = recipe.hardware.gpus_per_node
        if recipe.hardware.nodes == 1 and there < asked:
            where = loaded.where("hardware")
            problems.append(f"{where}: hardware.gpus_per_node is {asked}, this machine has {there}")
    for stage in recipe.stages:
        if recipe.hardware.nodes > 1 and isinstance(stage, SftStage):
            where = loaded.where("stages", stage.name)
            problems.append(
                f"{where}: stages.{stage.name}: hardware.nodes is {recipe.hardware.nodes}; "
                "supervised fine-tuning runs on one node"
            )
    return problems
