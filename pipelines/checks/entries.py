"""Check the entry points outside verl's core: their checkouts, and the keys of a stage against their own configuration."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pipelines.digests import digest_text
from pipelines.environments import Environment
from pipelines.environments.ask import AskError, ask
from pipelines.errors import SettingError
from pipelines.recipe import upstream_limits
from pipelines.recipe.loading import Loaded
from pipelines.recipe.nested import get_path, leaves, unflatten
from pipelines.recipe.problems import problem_at
from pipelines.recipe.reserved_keys import owners
from pipelines.recipe.schema import RlStage, SftStage
from pipelines.recipe.upstream_keys import KeyList, check_keys, find_groups, keys
from pipelines.run.machine import find_machine
from pipelines.run.plan import Plan, trainer_module
from pipelines.shipped import cache_folder
from pipelines.trainers.verl.rl.entry import Entry, checkout_folder, default_overrides, digest_sources, find_entry, mentions
from preprocess import atomic
from rewards.suggestions import nearest_path

_MODULE = "pipelines.trainers.verl.entry_defaults"
_SECONDS = 120.0

# Folders of a checkout that would replace the packages of the run.
_IN_USE = ("verl", "pipelines", "preprocess", "rewards")

# Set for verl's V1 trainer; an entry point on the legacy trainer does not need them.
_OF_V1 = ("trainer.v1.", "trainer.checkpoint_callback_class", "transfer_queue.")
_NAMED = 3

Stages = Sequence[SftStage | RlStage]


def find_entry_problems(loaded: Loaded, stages: Stages, environments: Mapping[str, Environment]) -> list[tuple[str, bool]]:
    """Return the problems of stages' entry points, one line each, and whether only this machine lacks something."""
    return list(_find(loaded, stages, environments))


def has_entries(stages: Stages) -> bool:
    """Return whether a stage has an entry point, whose keys only verl's environment can check."""
    return any(isinstance(stage, RlStage) and stage.entry is not None for stage in stages)


def _find(loaded: Loaded, stages: Stages, environments: Mapping[str, Environment]) -> Iterator[tuple[str, bool]]:
    for stage in stages:
        if not isinstance(stage, RlStage) or stage.entry is None:
            continue
        checkout, loc = checkout_folder(str(stage.checkout)), ("stages", stage.name, "checkout")
        if problem := _find_missing(str(stage.checkout), checkout):
            yield str(problem_at(loaded.root, loc, problem[0])), problem[1]
            continue
        try:
            entry = find_entry(stage)
        except SettingError as error:
            yield str(problem_at(loaded.root, error.loc, error.message)), False
            continue
        in_use = next((name for name in _IN_USE if (checkout / name / "__init__.py").is_file()), None)
        if in_use is not None and not entry.is_package:
            message = f"{checkout} contains the package {in_use}, which would replace that of the run"
            hint = f"; expected the folder {stage.entry.partition('.')[0]} in it" if "." in stage.entry else ""
            yield str(problem_at(loaded.root, loc, message + hint)), False
        elif not environments["verl"].is_ready():
            place = problem_at(loaded.root, ("stages", stage.name, "entry"), "").where
            print(f"note: {place}: the keys of {stage.entry} are checked when verl's environment is built", file=sys.stderr)
        else:
            yield from _find_wrong_keys(loaded, stage, entry, environments)


def _find_missing(given: str, checkout: Path) -> tuple[str, bool] | None:
    if checkout.exists():
        return None
    if not Path(given).is_absolute():
        message = f"{given} is not a folder, and verl-recipe at this tag is not on this machine"
        return f"{message}; download it with `pipeline env sync verl --recipes {given}`", True
    return f"folder not found: {checkout}{nearest_path(checkout)}", True


def _find_wrong_keys(
    loaded: Loaded, stage: RlStage, entry: Entry, environments: Mapping[str, Environment]
) -> Iterator[tuple[str, bool]]:
    answer, loc = read_defaults(entry, environments["verl"]), ("stages", stage.name, "entry")
    if "keys" not in answer:
        message = f"the configuration of {entry.module} cannot be composed: {answer['problem']}"
        yield str(problem_at(loaded.root, loc, message)), False
        return
    listed = list_keys(answer["keys"])
    given = unflatten(stage.verl)
    found = list(check_keys("verl", given, listed=listed))
    certain = list(check_keys("verl", given, plugins=True, listed=listed))
    if loaded.recipe.environments.verl is not None or upstream_limits.loads_plugins(given):
        found = certain
    for path, message in found:
        value = get_path(given, ".".join(path))
        # The entry may register more names, such as a loss of its own.
        if (path, message) in certain or not isinstance(value, str) or not mentions(entry.checkout, value):
            yield str(problem_at(loaded.root, ("stages", stage.name, "verl", *path), message)), False
    if ignored := sorted(_find_ignored(loaded, stage, environments, listed)):
        named = ", ".join(ignored[:_NAMED]) + (f" and {len(ignored) - _NAMED} more" if len(ignored) > _NAMED else "")
        message = f"{entry.module} would ignore what the stage sets: its configuration has no {named}"
        yield str(problem_at(loaded.root, loc, f"{message}; it is for another version of verl")), False


def _find_ignored(loaded: Loaded, stage: RlStage, environments: Mapping[str, Environment], listed: KeyList) -> Iterator[str]:
    """Yield the keys that the stage is rendered into and that verl's configuration has, but not the entry's."""
    import yaml

    plan = Plan(loaded.recipe, find_machine(environments), Path("/"))
    launch = trainer_module(stage).launch(stage, plan.context(stage))
    for path, _ in leaves(yaml.safe_load(launch.files["train.yaml"])):
        key = ".".join(path)
        known = any(".".join(path[:end]) in listed.keys for end in range(1, len(path) + 1))
        if not known and key in keys("verl") and not key.startswith(_OF_V1):
            fields = owners("verl", key)
            yield f"{key} (from `{fields[0]}`)" if fields else key


def list_keys(values: Mapping[str, Any]) -> KeyList:
    """Return the keys of an entry's configuration, with what verl's key list says about its own keys.

    A group that one of verl's classes reads also has the keys of that class, which the configuration need not contain.

    Args:
        values: The value of every dotted key.
    """
    known = keys("verl")
    found = {key: known.get(key) or _describe(value) for key, value in values.items() if not key.endswith("_target_")}
    for key, entry in known.items():
        group = key.rpartition(".")[0]
        while group and f"{group}._target_" not in values:
            group = group.rpartition(".")[0]
        if group and str(values[f"{group}._target_"]).startswith("verl."):
            found.setdefault(key, entry)
    return KeyList(found, find_groups(found))


def _describe(value: Any) -> dict[str, Any]:
    """Return the type of a key by its default value."""
    if value is None or (isinstance(value, str) and ("${" in value or value == "???")):
        return {}
    kinds = {bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}
    return {"type": [kinds[type(value)], "null"], "default": value or None}


def read_defaults(entry: Entry, environment: Environment) -> dict[str, Any]:
    """Return the answer of `entry_defaults`: `keys`, or a `problem`.

    Keys are cached by the files of the checkout, but not those of a Python that the user chose: its packages may change.

    Args:
        entry: The entry, whose checkout exists.
        environment: verl's, which is ready.
    """
    request = {"folder": str(entry.config_folder), "name": entry.config_name, "overrides": default_overrides(entry)}
    code = Path(__file__).parents[1] / "trainers/verl/entry_defaults.py"
    facts = [request, digest_sources(entry.checkout), str(environment.python), environment.pin.sha256, code.read_text("utf-8")]
    cache = cache_folder() / "entries" / f"{digest_text(json.dumps(facts))}.json"
    if environment.pinned and (cached := atomic.read_json(cache)):
        return dict(cached)
    try:
        arguments = ["-m", _MODULE, json.dumps(request)]
        answer = ask(environment.python, arguments, variables=environment.variables, timeout=_SECONDS)
    except AskError as error:
        return {"problem": str(error)}
    if "keys" in answer and environment.pinned:
        with suppress(OSError):  # it is asked again
            cache.parent.mkdir(parents=True, exist_ok=True)
            atomic.write_text(cache, json.dumps(answer))
    return dict(answer)
