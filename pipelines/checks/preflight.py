"""Find what is wrong with a recipe before anything is started. Each problem is one line: where and what."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.checks.entries import find_entry_problems, has_entries
from pipelines.environments import Environment
from pipelines.environments.ask import AskError, ask
from pipelines.environments.gpus import count_gpus, describe_hidden
from pipelines.recipe import deepspeed
from pipelines.recipe.consistency import find_attention_for_gpus
from pipelines.recipe.loading import Loaded
from pipelines.recipe.problems import problem_at
from pipelines.recipe.schema import Reward, RlStage, SftStage, StageHardware
from pipelines.recipe.without_effect import find_missing_packages
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
from rewards.errors import MissingModuleError, RewardError
known = False
try:
    entry = read_entry(json.loads(sys.argv[1]))
    known = True
    entry.reward.check_ready(local=sys.argv[2] == "local")
except RewardError as error:
    problem, local = str(error), known or isinstance(error, MissingModuleError)
else:
    problem, local = "", False
print()
print(json.dumps([problem, local]))
"""

Stages = Sequence[SftStage | RlStage]


def find_problems(
    loaded: Loaded,
    machine: Machine,
    environments: Mapping[str, Environment],
    names: Collection[str] | None = None,
    prepared: Collection[str] | None = None,
) -> list[str]:
    """Return every mistake in the input that would make the run fail.

    Args:
        loaded: The recipe.
        machine: Where it runs.
        environments: Trainer -> its environment, of all that the run uses.
        names: The stages that run; default: all.
        prepared: The stages whose rows are prepared; default: those that run.
    """
    of_recipe, of_machine = split_problems(loaded, machine, environments, names, prepared)
    return [*of_recipe, *of_machine, *find_cluster_problems(loaded, environments, names)]


def split_problems(
    loaded: Loaded,
    machine: Machine,
    environments: Mapping[str, Environment],
    names: Collection[str] | None = None,
    prepared: Collection[str] | None = None,
) -> tuple[list[str], list[str]]:
    """Return the mistakes for which every machine would refuse the recipe, and what only this machine lacks.

    Args:
        loaded: The recipe.
        machine: Where it runs.
        environments: Trainer -> its environment, of all that the run uses.
        names: The stages that run; default: all.
        prepared: The stages whose rows are prepared; default: those that run.
    """
    stages = _named(loaded, names)
    sources = stages if prepared is None else _named(loaded, prepared)
    entries = [Problem(text, local) for text, local in find_entry_problems(loaded, stages, environments)]
    found = [
        *_model_problems(loaded, stages),
        *_source_problems(loaded, sources),
        *_unknown_names(loaded, sources),
        *_reward_problems(loaded, stages, environments),
        *_mismatched_tools(loaded, stages),
        *_unrewarded_rows(loaded, stages),
        *_missing_packages(loaded, stages, machine),
        *_attention_for_gpus(loaded, stages, machine),
        *entries,
    ]
    of_recipe = [problem.text for problem in found if not problem.local]
    of_machine = [
        *(problem.text for problem in found if problem.local),
        *_missing_deepspeed_files(loaded, stages),
        *_unusable_pythons(loaded, environments),
        *_missing_gpus(loaded, stages, machine),
        *find_tracker_problems(loaded),
        *_uncallable_notification(loaded),
    ]
    return of_recipe, of_machine


def _named(loaded: Loaded, names: Collection[str] | None) -> Stages:
    return [stage for stage in loaded.recipe.stages if names is None or stage.name in names]


def find_tracker_problems(loaded: Loaded) -> list[str]:
    """Return the trackers that could not start: missing packages, servers and credentials."""
    if not loaded.recipe.trackers:
        return []
    from pipelines.trackers.readiness import find_problems

    return find_problems(loaded)


def find_data_problems(loaded: Loaded, names: Collection[str] | None = None) -> list[str]:
    """Return the mistakes that would make the preparation of the rows of some stages fail; default: of all."""
    stages = _named(loaded, names)
    return [problem.text for problem in (*_source_problems(loaded, stages), *_unknown_names(loaded, stages))]


def find_late_problems(
    loaded: Loaded, environments: Mapping[str, Environment], names: Collection[str] | None = None
) -> list[str]:
    """Return what only verl's environment can find.

    The rewards that are unknown or do not load, their unknown options and missing packages, and wrong keys of entry points.
    """
    stages = _named(loaded, names)
    entries = [text for text, _ in find_entry_problems(loaded, stages, environments)]
    return [*(problem.text for problem in _reward_problems(loaded, stages, environments)), *entries]


def needs_environment(loaded: Loaded, names: Collection[str] | None = None) -> bool:
    """Return whether there are rewards or keys of entry points that only verl's environment can check."""
    stages = _named(loaded, names)
    return has_entries(stages) or any(isinstance(error, MissingModuleError) for *_, error in _read_rewards(loaded, stages))


def _reward_problems(loaded: Loaded, stages: Stages, environments: Mapping[str, Environment]) -> Iterator[Problem]:
    for place, reward, is_known, error in _read_rewards(loaded, stages):
        if error is None:
            continue
        if not isinstance(error, MissingModuleError):
            # A reward that loads, but is not ready, does not find what it needs here.
            yield Problem(f"{place}: {error}", local=is_known or _is_elsewhere(reward.file))
            continue
        # The orchestrator lacks the trainers' packages, so the trainer's Python decides.
        problem = _ask_for_problem(reward, loaded.recipe.sandbox, environments["verl"])
        if problem is None:
            print(f"note: {place}: {error}; checked when the environment is built", file=sys.stderr)
        elif problem.text:
            yield replace(problem, text=f"{place}: {problem.text}")


def _read_rewards(loaded: Loaded, stages: Stages) -> Iterator[tuple[str, Reward, bool, RewardError | None]]:
    """Yield each reward with its place, whether it is known here, and why it does not load or is not ready."""
    from rewards.scoring.combination import read_entry

    for stage in stages:
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


def _ask_for_problem(reward: Reward, sandbox: Sandbox, environment: Environment) -> Problem | None:
    """Load a reward in the environment and return its problem.

    Packages that a SandboxFusion service scores with are not checked for built-in rewards.

    Returns:
        An empty text for no problem; None if the environment is not built.
    """
    if not environment.is_ready():
        return None
    arguments = ["-c", _LOAD, reward.model_dump_json(), "local" if sandbox.url is None else "service"]
    try:
        text, local = ask(environment.python, arguments, variables=environment.variables, timeout=_SECONDS)
        return Problem(str(text), local=bool(local))
    except AskError as error:
        return Problem(f"{reward.file or reward.name} does not import: {error}", local=True)


def _at(loaded: Loaded, *keys: str) -> str:
    """Return `file:line: key`."""
    return f"{loaded.where(*keys)}: {'.'.join(keys)}"


def _model_problems(loaded: Loaded, stages: Stages) -> Iterator[Problem]:
    for keys, path in _model_paths(loaded, stages):
        place = _at(loaded, *keys)
        if not path.exists():
            yield Problem(f"{place}: model folder not found: {path}{nearest_path(path)}", local=True)
        elif path.is_file():
            yield Problem(f"{place}: {path} is a file; expected a HuggingFace model folder")
        elif not (path / "config.json").is_file():
            yield Problem(f"{place}: {path} has no config.json; expected a HuggingFace model folder", local=True)


def _model_paths(loaded: Loaded, stages: Stages) -> Iterator[tuple[tuple[str, ...], Path]]:
    """Yield the key and the path of each model that is a path and that stages start from."""
    recipe = loaded.recipe
    for stage in stages:
        if recipe.previous(stage) is not None:
            continue
        keys, model = (("stages", stage.name, "init_from"), stage.init_from) if stage.init_from else (("model",), recipe.model)
        # Others are made by the run, or hub names.
        if isinstance(model, str) and Path(model).is_absolute():
            yield keys, Path(model)


def _source_problems(loaded: Loaded, stages: Stages) -> Iterator[Problem]:
    for stage in stages:
        place = _at(loaded, "stages", stage.name, "data")
        for source in (*(each.source for each in stage.sources), *filter_files(stage).values()):
            path = Path(source)
            if not path.is_absolute() and hub.parse(source) is None:
                yield Problem(f"{place}: not found: {source}; expected a file, a folder, or owner/name on the hub")
            elif path.is_absolute() and not path.exists():
                yield Problem(f"{place}: not found: {source}{nearest_path(path)}", local=True)


def _unknown_names(loaded: Loaded, stages: Stages) -> Iterator[Problem]:
    """Yield unknown converters and unknown options of converters."""
    from preprocess.converters import find
    from preprocess.errors import SourceError

    for stage in stages:
        for source in stage.sources:
            try:
                converter = find(source.converter, Path(source.file) if source.file else None)
                converter.make(stage.kind)
                converter.find_record(converter.read_options(source.options))
            except SourceError as error:
                yield Problem(f"{_at(loaded, 'stages', stage.name, 'data')}: {error}", local=_lacks(source.file, error))
        for each in stage.data.decontaminate.against if stage.data.decontaminate else []:
            try:
                if each.converter is not None:
                    find(each.converter, Path(each.file) if each.file else None).read_options(each.options)
            except SourceError as error:
                where = _at(loaded, "stages", stage.name, "data", "decontaminate")
                yield Problem(f"{where}: {error}", local=_lacks(each.file, error))


def _lacks(file: str | None, error: Exception) -> bool:
    """Return whether a converter does not load because this machine lacks its file or a package."""
    from preprocess.errors import MissingPackageError

    return isinstance(error, MissingPackageError) or _is_elsewhere(file)


def _unrewarded_rows(loaded: Loaded, stages: Stages) -> Iterator[Problem]:
    """Yield stages whose first row no reward takes, where every reward is for rows of some data sources.

    Sources that are not on this machine, and those whose conversion runs programs, are not read.
    """
    for stage in stages:
        if isinstance(stage, RlStage) and all(each.data_source not in (None, "*") for each in stage.rewards):
            from pipelines.checks.samples import open_sample
            from pipelines.checks.teaching import find_unrewarded

            facts = open_sample(loaded, stage, quick=True).first()
            for problem in find_unrewarded(loaded, stage, facts):
                yield Problem(problem)


def _mismatched_tools(loaded: Loaded, stages: Stages) -> Iterator[Problem]:
    """Yield stages whose tool no row would name, and rows that name a tool which their stage does not have.

    Only as far as the converters' options decide it: with other converters, each row does.
    """
    from preprocess.converters import find
    from preprocess.errors import SourceError

    for stage in stages:
        if not isinstance(stage, RlStage):
            continue
        named: list[str | None] = []
        for source in stage.sources:
            try:
                converter = find(source.converter, Path(source.file) if source.file else None)
                named.append(getattr(converter.read_options(source.options), "tool", ""))
            except SourceError:
                named.append("")  # reported already
        if stage.tool is None and (tools := [each for each in named if each]):
            text = f"its rows name the tool {tools[0]}, which the stage does not have: add `tool: {{name: {tools[0]}}}`"
            yield Problem(f"{_at(loaded, 'stages', stage.name, 'data')}: {text}")
        elif stage.tool is not None and all(each is None for each in named):
            text = f"no row names it, so no model sees it: set options: {{tool: {stage.tool.name}}} for the converter"
            yield Problem(f"{_at(loaded, 'stages', stage.name, 'tool')}: {text}")


def _is_elsewhere(file: str | None) -> bool:
    """Return whether a file cannot be read here: another machine or user may have it."""
    return file is not None and not os.access(file, os.R_OK)


def _missing_deepspeed_files(loaded: Loaded, stages: Stages) -> Iterator[str]:
    for stage in stages:
        file = stage.llamafactory.get("deepspeed") if isinstance(stage, SftStage) else None
        if isinstance(file, str) and deepspeed.is_path(file) and not Path(file).is_file():
            place = _at(loaded, "stages", stage.name, "llamafactory", "deepspeed")
            yield f"{place}: file not found: {file}{nearest_path(Path(file))}"


def _unusable_pythons(loaded: Loaded, environments: Mapping[str, Environment]) -> Iterator[str]:
    """Yield existing Pythons that are missing; a pinned environment is built by the run."""
    for each in environments.values():
        if not each.pinned and (reason := each.why_not_ready()):
            section, _, trainer = each.chosen_by.partition(".")
            yield f"{_at(loaded, section, trainer) if trainer else each.chosen_by}: {reason}"


def _missing_gpus(loaded: Loaded, stages: Stages, machine: Machine) -> Iterator[str]:
    found = count_gpus()
    fix = "" if found else "; --smoke tries the recipe on the CPU"
    if not found and loaded.recipe.hardware.platform == "auto":
        fix += ", --set hardware.platform=cpu trains it there"
    seen = set()
    for stage in stages:
        hardware, keys = loaded.recipe.hardware_of(stage), hardware_keys(stage)
        if machine.platform == "cuda" and hardware.nodes == 1 and found < hardware.gpus_per_node and keys not in seen:
            seen.add(keys)
            key, has = f"{'.'.join(keys)}.gpus_per_node", f"{found or 'no GPU'}{describe_hidden()}"
            yield f"{loaded.where(*keys)}: {key} is {hardware.gpus_per_node}, this machine has {has}{fix}"


def _missing_packages(loaded: Loaded, stages: Stages, machine: Machine) -> Iterator[Problem]:
    """Yield the packages that the platform's environments lack; a recipe with packages that none has does not load."""
    recipe = loaded.recipe
    for index, stage in enumerate(recipe.stages):
        if stage in stages:
            for loc, message in find_missing_packages(stage, recipe, [machine.platform]):
                text = str(problem_at(loaded.root, ("stages", index, *loc), message))
                yield Problem(text, local=recipe.hardware.platform == "auto")


def _attention_for_gpus(loaded: Loaded, stages: Stages, machine: Machine) -> Iterator[Problem]:
    """Yield the attention that the CPU lacks. Loading does not refuse it: a smoke removes it."""
    names = [stage.name for stage in stages]
    for loc, message in find_attention_for_gpus(loaded.recipe) if machine.platform == "cpu" else ():
        if loaded.recipe.stages[int(loc[1])].name in names:
            # A submitted recipe names the nodes' platform.
            yield Problem(str(problem_at(loaded.root, loc, message)), local=loaded.recipe.hardware.platform == "auto")


def _uncallable_notification(loaded: Loaded) -> Iterator[str]:
    given = loaded.recipe.notify
    if given is None:
        return
    from pipelines.run.notification import why_not_callable

    if reason := why_not_callable(given.command):
        yield f"{_at(loaded, 'notify', 'command')}: {reason}; expected a program and its arguments"


def find_cluster_problems(
    loaded: Loaded, environments: Mapping[str, Environment], names: Collection[str] | None = None
) -> list[str]:
    """Return the stages for which the Ray cluster has not enough nodes, or which cannot reach it.

    Not if verl's environment, which asks the cluster, is not built yet.
    """
    recipe, stages = loaded.recipe, _named(loaded, names)
    if all(recipe.hardware_of(stage).nodes == 1 for stage in stages) or not environments["verl"].is_ready():
        return []
    from pipelines.run.cluster.nodes import choose_cluster

    wanted: dict[tuple[int, int], tuple[str, ...]] = {}
    for stage in stages:
        hardware = recipe.hardware_of(stage)
        if hardware.nodes > 1:
            wanted.setdefault((hardware.nodes, hardware.gpus_per_node), hardware_keys(stage))
    problems = []
    for (nodes, gpus), keys in wanted.items():
        if problem := choose_cluster(environments["verl"].python, nodes, gpus):
            problems.append(f"{loaded.where(*keys)}: {'.'.join(keys)}.nodes is {nodes}: {problem}")
    return problems


def hardware_keys(stage: SftStage | RlStage) -> tuple[str, ...]:
    """Return the keys of the section that decides on a stage's hardware."""
    return ("hardware",) if stage.hardware == StageHardware() else ("stages", stage.name, "hardware")
