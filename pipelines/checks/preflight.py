"""Find what is wrong with a recipe before anything is started. Each problem is one line: where and what."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from pipelines.environments import Environment
from pipelines.environments.ask import AskError, ask
from pipelines.recipe import deepspeed
from pipelines.recipe.loading import Loaded
from pipelines.recipe.schema import Reward, RlStage, SftStage
from pipelines.run.plan import Machine, filter_files
from preprocess.config import Sandbox
from preprocess.sources import hub
from rewards.errors import MissingModuleError, RewardError
from rewards.suggestions import nearest_path

_SECONDS = 120.0

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
    return [
        *_missing_models(loaded),
        *find_data_problems(loaded),
        *_missing_deepspeed_files(loaded),
        *find_reward_problems(loaded, environments),
        *_unusable_pythons(environments),
        *_unsuitable_hardware(loaded, machine),
    ]


def find_data_problems(loaded: Loaded) -> list[str]:
    """Return the mistakes that would make the preparation of rows fail."""
    return [*_missing_sources(loaded), *_unknown_names(loaded)]


def find_reward_problems(loaded: Loaded, environments: dict[str, Environment]) -> list[str]:
    """Return the rewards that are unknown or do not load, their unknown options and missing packages."""
    problems = []
    for place, reward, error in _read_rewards(loaded):
        if not isinstance(error, MissingModuleError):
            problems += [f"{place}: {error}"] if error else []
            continue
        # The orchestrator lacks the trainers' packages, so the trainer's Python decides.
        problem = _ask_for_problem(reward, loaded.recipe.sandbox, environments["verl"])
        if problem is None:
            print(f"note: {place}: {error}; checked when the environment is built", file=sys.stderr)
        elif problem:
            problems.append(f"{place}: {problem}")
    return problems


def needs_environment(loaded: Loaded) -> bool:
    """Return whether there are rewards that only verl's environment can check."""
    return any(isinstance(error, MissingModuleError) for _, _, error in _read_rewards(loaded))


def _read_rewards(loaded: Loaded) -> Iterator[tuple[str, Reward, RewardError | None]]:
    """Yield each reward with its place, and why it does not load here."""
    from rewards.scoring.combination import read_entry

    for stage in loaded.recipe.stages:
        if not isinstance(stage, RlStage):
            continue
        for number, reward in enumerate(stage.rewards):
            place = _at(loaded, "stages", stage.name, "reward")
            if isinstance(stage.reward, list):
                line = loaded.where("stages", stage.name, "reward", number)
                place = f"{line}: stages.{stage.name}.reward.{reward.name}"
            try:
                read_entry(reward.model_dump()).reward.check_ready(local=loaded.recipe.sandbox.url is None)
            except RewardError as error:
                yield place, reward, error
            else:
                yield place, reward, None


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
    recipe = loaded.recipe
    for keys, model in [(("model",), recipe.model), *((("stages", s.name, "init_from"), s.init_from) for s in recipe.stages)]:
        if not isinstance(model, str) or not Path(model).is_absolute():
            continue  # made by the run, another stage's, or a hub name
        path = Path(model)
        if not path.is_dir():
            yield f"{_at(loaded, *keys)}: model folder not found: {model}{nearest_path(path)}"
        elif not (path / "config.json").is_file():
            yield f"{_at(loaded, *keys)}: {model} has no config.json; expected a HuggingFace model folder"


def _missing_sources(loaded: Loaded) -> Iterator[str]:
    for stage in loaded.recipe.stages:
        place = _at(loaded, "stages", stage.name, "data")
        for source in (*(each.source for each in stage.sources), *filter_files(stage).values()):
            path = Path(source)
            if not path.is_absolute() and hub.parse(source) is None:
                yield f"{place}: not found: {source}; expected a file, a folder, or owner/name on the hub"
            elif path.is_absolute() and not path.exists():
                yield f"{place}: not found: {source}{nearest_path(path)}"


def _unknown_names(loaded: Loaded) -> Iterator[str]:
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
                yield f"{_at(loaded, 'stages', stage.name, 'data')}: {error}"
        for each in stage.data.decontaminate.against if stage.data.decontaminate else []:
            try:
                if each.converter is not None:
                    find(each.converter, Path(each.file) if each.file else None).read_options(each.options)
            except SourceError as error:
                yield f"{_at(loaded, 'stages', stage.name, 'data', 'decontaminate')}: {error}"


def _missing_deepspeed_files(loaded: Loaded) -> Iterator[str]:
    for stage in loaded.recipe.stages:
        file = stage.llamafactory.get("deepspeed") if isinstance(stage, SftStage) else None
        if isinstance(file, str) and deepspeed.is_path(file) and not Path(file).is_file():
            place = _at(loaded, "stages", stage.name, "llamafactory", "deepspeed")
            yield f"{place}: file not found: {file}{nearest_path(Path(file))}"


def _unusable_pythons(environments: dict[str, Environment]) -> Iterator[str]:
    """Yield existing Pythons that are missing; a pinned environment is built by the run."""
    found = (each for each in environments.values() if not each.pinned)
    yield from (f"{each.chosen_by}: {reason}" for each in found if (reason := each.why_not_ready()))


def _unsuitable_hardware(loaded: Loaded, machine: Machine) -> Iterator[str]:
    hardware = loaded.recipe.hardware
    found = len(list(Path("/dev").glob("nvidia[0-9]*")))
    if machine.platform == "cuda" and hardware.nodes == 1 and found < hardware.gpus_per_node:
        yield f"{loaded.where('hardware')}: hardware.gpus_per_node is {hardware.gpus_per_node}, this machine has {found}"
    for stage in loaded.recipe.stages:
        if hardware.nodes > 1 and isinstance(stage, SftStage):
            place = _at(loaded, "stages", stage.name)
            yield f"{place}: hardware.nodes is {hardware.nodes}; supervised fine-tuning runs on one node"
