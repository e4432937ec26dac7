"""Find what is wrong with a recipe before anything is started. Each problem is one line: where and what."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipelines.environments import Environment
from pipelines.environments.ask import AskError, ask
from pipelines.environments.gpus import count_gpus, describe_hidden
from pipelines.recipe import deepspeed
from pipelines.recipe.consistency import find_attention_for_gpus
from pipelines.recipe.loading import Loaded
from pipelines.recipe.problems import problem_at
from pipelines.recipe.schema import Reward, RlStage, SftStage, StageHardware
from pipelines.run.notification import why_not_callable
from pipelines.run.plan import Machine, filter_files
from preprocess.config import Sandbox
from preprocess.sources import hub
from rewards.errors import MissingModuleError, RewardError
from rewards.suggestions import nearest_path

_SECONDS = 120.0


@dataclass(frozen=True)
class Problem:
    """Why a run would fail."""

    text: str
    """Where and what, on one line."""
    local: bool = False
    """Whether only this machine lacks something."""


_LOAD = """
import json, sys
from rewards.scoring.combination import read_entry
from rewards.errors import RewardError
try:
    read_entry(json.loads(sys.argv[1])).reward.check_ready(local=sys.argv[2] == "local")
except RewardError as error:
    problem = str(error)
else:
    problem = ""
print()
print(json.dumps(problem))
"""


def find_problems(loaded: Loaded, machine: Machine, environments: dict[str, Environment]) -> list[str]:
    """Return every mistake in the input that would make the run fail."""
    of_recipe, of_machine = split_problems(loaded, machine, environments)
    return [*of_recipe, *of_machine, *find_cluster_problems(loaded, environments)]


def split_problems(loaded: Loaded, machine: Machine, environments: dict[str, Environment]) -> tuple[list[str], list[str]]:
    """Return the mistakes for which every machine would refuse the recipe, and what only this machine lacks."""
    found = [*_unknown_names(loaded), *_reward_problems(loaded, environments)]
    of_recipe = [problem.text for problem in found if not problem.local]
    of_machine = [
        *_missing_models(loaded),
        *_missing_sources(loaded),
        *_missing_deepspeed_files(loaded),
        *(problem.text for problem in found if problem.local),
        *_unusable_pythons(loaded, environments),
        *_missing_gpus(loaded, machine),
        *_attention_for_gpus(loaded, machine),
        *find_tracker_problems(loaded),
        *_uncallable_notification(loaded),
    ]
    return [*of_recipe, *_files_as_models(loaded)], of_machine


def find_tracker_problems(loaded: Loaded) -> list[str]:
    """Return the trackers that could not start: missing packages, servers and credentials."""
    if not loaded.recipe.trackers:
        return []
    from pipelines.trackers.readiness import find_problems

    return find_problems(loaded)


def find_data_problems(loaded: Loaded) -> list[str]:
    """Return the mistakes that would make the preparation of rows fail."""
    return [*_missing_sources(loaded), *(problem.text for problem in _unknown_names(loaded))]


def find_reward_problems(loaded: Loaded, environments: dict[str, Environment]) -> list[str]:
    """Return the rewards that are unknown or do not load, their unknown options and missing packages."""
    return [problem.text for problem in _reward_problems(loaded, environments)]


def needs_environment(loaded: Loaded) -> bool:
    """Return whether there are rewards that only verl's environment can check."""
    return any(isinstance(error, MissingModuleError) for *_, error in _read_rewards(loaded))


def _reward_problems(loaded: Loaded, environments: dict[str, Environment]) -> Iterator[Problem]:
    for place, reward, is_known, error in _read_rewards(loaded):
        if error is None:
            continue
        if not isinstance(error, MissingModuleError):
            # A reward that loads, but is not ready, does not find what it needs here.
            yield Problem(f"{place}: {error}", local=is_known or _is_missing(reward.file))
            continue
        # The orchestrator lacks the trainers' packages, so the trainer's Python decides.
        problem = _ask_for_problem(reward, loaded.recipe.sandbox, environments["verl"])
        if problem is None:
            print(f"note: {place}: {error}; checked when the environment is built", file=sys.stderr)
        elif problem:
            yield Problem(f"{place}: {problem}", local=True)


def _read_rewards(loaded: Loaded) -> Iterator[tuple[str, Reward, bool, RewardError | None]]:
    """Yield each reward with its place, whether it is known here, and why it does not load or is not ready."""
    from rewards.scoring.combination import read_entry

    for stage in loaded.recipe.stages:
        if not isinstance(stage, RlStage):
            continue
        for number, reward in enumerate(stage.rewards):
            place = _at(loaded, "stages", stage.name, "reward")
            if isinstance(stage.reward, list):
                line = loaded.where("stages", stage.name, "reward", number)
                place = f"{line}: stages.{stage.name}.reward.{reward.name}"
            entry = None
            try:
                entry = read_entry(reward.model_dump())
                entry.reward.check_ready(local=loaded.recipe.sandbox.url is None)
            except RewardError as error:
                yield place, reward, entry is not None, error
            else:
                yield place, reward, True, None


def _ask_for_problem(reward: Reward, sandbox: Sandbox, environment: Environment) -> str | None:
    """Load a reward in the environment and return its problem in one line.

    Packages that a SandboxFusion service scores with are not checked for built-in rewards.

    Returns:
        An empty text for no problem; None if the environment is not built.
    """
    if not environment.is_ready():
        return None
    arguments = ["-c", _LOAD, reward.model_dump_json(), "local" if sandbox.url is None else "service"]
    try:
        return str(ask(environment.python, arguments, variables=environment.variables, timeout=_SECONDS))
    except AskError as error:
        return f"{reward.file or reward.name} does not import: {error}"


def _at(loaded: Loaded, *keys: str) -> str:
    """Return `file:line: key`."""
    return f"{loaded.where(*keys)}: {'.'.join(keys)}"


def _missing_models(loaded: Loaded) -> Iterator[str]:
    for keys, path in _model_paths(loaded):
        if not path.exists():
            yield f"{_at(loaded, *keys)}: model folder not found: {path}{nearest_path(path)}"
        elif path.is_dir() and not (path / "config.json").is_file():
            yield f"{_at(loaded, *keys)}: {path} has no config.json; expected a HuggingFace model folder"


def _files_as_models(loaded: Loaded) -> Iterator[str]:
    for keys, path in _model_paths(loaded):
        if path.is_file():
            yield f"{_at(loaded, *keys)}: {path} is a file; expected a HuggingFace model folder"


def _model_paths(loaded: Loaded) -> Iterator[tuple[tuple[str, ...], Path]]:
    """Yield the key and the path of each model that is a path."""
    recipe = loaded.recipe
    for keys, model in [(("model",), recipe.model), *((("stages", s.name, "init_from"), s.init_from) for s in recipe.stages)]:
        # Others are made by the run, another stage's, or hub names.
        if isinstance(model, str) and Path(model).is_absolute():
            yield keys, Path(model)


def _missing_sources(loaded: Loaded) -> Iterator[str]:
    for stage in loaded.recipe.stages:
        place = _at(loaded, "stages", stage.name, "data")
        for source in (*(each.source for each in stage.sources), *filter_files(stage).values()):
            path = Path(source)
            if not path.is_absolute() and hub.parse(source) is None:
                yield f"{place}: not found: {source}; expected a file, a folder, or owner/name on the hub"
            elif path.is_absolute() and not path.exists():
                yield f"{place}: not found: {source}{nearest_path(path)}"


def _unknown_names(loaded: Loaded) -> Iterator[Problem]:
    """Yield unknown converters and unknown options of converters."""
    from preprocess.converters import find
    from preprocess.errors import SourceError

    for stage in loaded.recipe.stages:
        for source in stage.sources:
            try:
                converter = find(source.converter, Path(source.file) if source.file else None)
                converter.make(stage.kind)
                converter.find_record(converter.read_options(source.options))
            except SourceError as error:
                yield Problem(f"{_at(loaded, 'stages', stage.name, 'data')}: {error}", local=_is_missing(source.file))
        for each in stage.data.decontaminate.against if stage.data.decontaminate else []:
            try:
                if each.converter is not None:
                    find(each.converter, Path(each.file) if each.file else None).read_options(each.options)
            except SourceError as error:
                where = _at(loaded, "stages", stage.name, "data", "decontaminate")
                yield Problem(f"{where}: {error}", local=_is_missing(each.file))


def _is_missing(file: str | None) -> bool:
    return file is not None and not Path(file).exists()


def _missing_deepspeed_files(loaded: Loaded) -> Iterator[str]:
    for stage in loaded.recipe.stages:
        file = stage.llamafactory.get("deepspeed") if isinstance(stage, SftStage) else None
        if isinstance(file, str) and deepspeed.is_path(file) and not Path(file).is_file():
            place = _at(loaded, "stages", stage.name, "llamafactory", "deepspeed")
            yield f"{place}: file not found: {file}{nearest_path(Path(file))}"


def _unusable_pythons(loaded: Loaded, environments: dict[str, Environment]) -> Iterator[str]:
    """Yield existing Pythons that are missing; a pinned environment is built by the run."""
    for each in environments.values():
        if not each.pinned and (reason := each.why_not_ready()):
            section, _, trainer = each.chosen_by.partition(".")
            yield f"{_at(loaded, section, trainer) if trainer else each.chosen_by}: {reason}"


def _missing_gpus(loaded: Loaded, machine: Machine) -> Iterator[str]:
    found = count_gpus()
    seen = set()
    for stage in loaded.recipe.stages:
        hardware, keys = loaded.recipe.hardware_of(stage), hardware_keys(stage)
        if machine.platform == "cuda" and hardware.nodes == 1 and found < hardware.gpus_per_node and keys not in seen:
            seen.add(keys)
            key = f"{'.'.join(keys)}.gpus_per_node"
            yield f"{loaded.where(*keys)}: {key} is {hardware.gpus_per_node}, this machine has {found}{describe_hidden()}"


def _attention_for_gpus(loaded: Loaded, machine: Machine) -> Iterator[str]:
    """Yield the attention that this machine's platform lacks; a recipe for CPUs with it does not load."""
    if machine.platform == "cpu":
        for loc, message in find_attention_for_gpus(loaded.recipe):
            yield f"{problem_at(loaded.root, loc, message)}"


def _uncallable_notification(loaded: Loaded) -> Iterator[str]:
    given = loaded.recipe.notify
    if given is not None and (reason := why_not_callable(given.command)):
        yield f"{_at(loaded, 'notify', 'command')}: {reason}; expected a program and its arguments"


def find_cluster_problems(loaded: Loaded, environments: dict[str, Environment]) -> list[str]:
    """Return the stages for which the Ray cluster has not enough nodes, or which cannot reach it.

    Not if verl's environment, which asks the cluster, is not built yet.
    """
    recipe = loaded.recipe
    if not recipe.uses_cluster or not environments["verl"].is_ready():
        return []
    from pipelines.run.cluster.nodes import find_problem

    wanted: dict[tuple[int, int], tuple[str, ...]] = {}
    for stage in recipe.stages:
        hardware = recipe.hardware_of(stage)
        if hardware.nodes > 1:
            wanted.setdefault((hardware.nodes, hardware.gpus_per_node), hardware_keys(stage))
    problems = []
    for (nodes, gpus), keys in wanted.items():
        if problem := find_problem(environments["verl"].python, nodes, gpus):
            problems.append(f"{loaded.where(*keys)}: {'.'.join(keys)}.nodes is {nodes}: {problem}")
    return problems


def hardware_keys(stage: SftStage | RlStage) -> tuple[str, ...]:
    """Return the keys of the section that decides on a stage's hardware."""
    return ("hardware",) if stage.hardware == StageHardware() else ("stages", stage.name, "hardware")
