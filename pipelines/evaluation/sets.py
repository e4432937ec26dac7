"""Evaluation sets: what a model is asked, how its responses are scored, and by which figure it is judged.

A set is a small YAML file, checked like a recipe. Those that ship are in `recipes/evaluations` and have names. Their sources
are files that the user downloads into one folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic import Field, ValidationError, model_validator

from pipelines.errors import InputError
from pipelines.recipe import paths, variables
from pipelines.recipe.error_messages import explain
from pipelines.recipe.finding import read_file
from pipelines.recipe.nodes import Loc, Node, Origin
from pipelines.recipe.problems import RecipeError, problem_at
from pipelines.recipe.schema import Name, Reward, Rewards, list_rewards
from pipelines.recipe.set_option import apply_set_options
from pipelines.shipped import RECIPES
from preprocess.config import Model, Source
from preprocess.converters import CONVERTERS, find
from preprocess.errors import SourceError
from rewards.suggestions import nearest_path, suggestion

SETS = RECIPES / "evaluations"
"""The folder of the sets that ship."""

VARIABLE = "EVALUATION_DATA"
"""The environment variable with the folder of the sources; default: `evaluation-data` in the current folder."""

_METRIC = re.compile(r"pass@([1-9]\d*)|accuracy|share")

# Converter -> reward of its rows in a set without a file; of all others code_tests.
_REWARDS = {
    "bootcamp": "bootcamp",
    "gsm8k": "verl",
    **dict.fromkeys(("cruxeval", "execverify_rl", "livecodebench_exec", "programs_execution", "reval"), "white_box"),
}


class MissingSourceError(InputError):
    """The source of a set is not on this machine."""


class EvaluationSet(Model):
    """A set of problems to evaluate models on."""

    name: Name
    """The set's name: its folder in an evaluation, and its name in tables."""
    description: str = ""
    """One line for lists."""
    data: Source
    """The problems: a source and its converter, which must make rows for rl."""
    reward: Rewards
    """The score of a response: a reward's name, its name and options, or a list of rewards, whose weighted scores are added."""
    samples: int = Field(default=1, ge=1)
    """Responses per problem."""
    temperature: float = Field(default=0.0, ge=0)
    """Sampling temperature; 0 is greedy decoding."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Nucleus sampling."""
    max_prompt_tokens: int = Field(default=2048, ge=1)
    """Longest prompt; longer ones are not asked, and counted as such."""
    max_response_tokens: int = Field(default=2048, ge=1)
    """Longest response."""
    metric: str = "accuracy"
    """The figure of the set: `pass@K` is the chance that one of K responses is right, `accuracy` the mean accuracy, `share` the
    share of tests passed."""
    get: str = ""
    """One line on how to get the source, for the error if it is not on this machine."""
    note: str = ""
    """What to know before comparing its figures with published ones."""

    @model_validator(mode="after")
    def _check(self) -> EvaluationSet:
        found = _METRIC.fullmatch(self.metric)
        if found is None:
            raise ValueError(f"metric is {self.metric!r}, expected pass@K such as pass@1, accuracy or share")
        if found[1] and int(found[1]) > self.samples:
            raise ValueError(f"metric {self.metric} needs at least {found[1]} samples; samples is {self.samples}")
        if self.temperature == 0 and self.samples > 1:
            raise ValueError(f"at temperature 0 all {self.samples} samples of a problem are the same; set samples: 1")
        if self.data.pass_rates is not None:
            raise ValueError("data.pass_rates selects training rows; a set is evaluated as a whole")
        return self

    @property
    def rewards(self) -> list[Reward]:
        """The rewards, as a list."""
        return list_rewards(self.reward)


def load_set(name: str, options: Sequence[str] = ()) -> EvaluationSet:
    """Load a set.

    Args:
        name: The name of a set that ships, a set file, or `NAME:SOURCE`: the set or converter NAME with another source.
        options: `key=value` options over the file, such as `samples=10`.

    Raises:
        InputError: It does not exist, or has mistakes: one line each, with file and line.
    """
    return _validate(apply_set_options(_read(name), options, Path.cwd()))


def list_sets() -> list[EvaluationSet]:
    """Return the sets that ship, sorted by name."""
    return [load_set(each) for each in _shipped()]


def is_set(name: str) -> bool:
    """Return whether a name or file is that of an evaluation set, not of a recipe."""
    path = Path(name).expanduser()
    if not path.is_file() or name in _shipped():
        return name in _shipped()
    try:
        keys = read_file(path, path.parent, "name, data, reward").children
    except RecipeError:
        return False
    return "data" in keys and "stages" not in keys and "extends" not in keys


def require_source(given: EvaluationSet) -> None:
    """Check that the source is on this machine, or can be downloaded by its hub name.

    Raises:
        MissingSourceError: It is not; says how to get it.
    """
    path = Path(given.data.source)
    if not path.is_absolute() or path.exists():
        return
    how = f"; get it: {' '.join(given.get.split())}" if given.get else nearest_path(path)
    where = f", or set {VARIABLE} to the folder that has it" if path.is_relative_to(_data_folder()) else ""
    raise MissingSourceError(f"set {given.name}: {path} is not on this machine{how}{where}")


def _shipped() -> list[str]:
    return sorted(path.stem for path in SETS.glob("*.yaml"))


def _data_folder() -> Path:
    return Path(os.environ.get(VARIABLE) or "evaluation-data").expanduser().absolute()


def _read(name: str) -> Node:
    """Return the tree of a set, without variables, with the folders of its relative paths."""
    if name in _shipped():
        return _read_file(SETS / f"{name}.yaml", _data_folder())
    path = Path(name).expanduser()
    if path.is_file():
        return _read_file(path, path.absolute().parent)
    known, colon, source = name.partition(":")
    if colon and source and known in (*_shipped(), *CONVERTERS):
        return _with_source(known, source)
    if path.suffix in (".yaml", ".yml"):
        raise InputError(f"set file not found: {name}{nearest_path(path)}")
    if colon:
        raise InputError(f"no set or converter is called {known!r}{suggestion(known, {*_shipped(), *CONVERTERS})}")
    raise InputError(
        f"no evaluation set is called {name!r}{suggestion(name, _shipped())}; a set of your files is a .yaml file or "
        "CONVERTER:SOURCE"
    )


def _read_file(path: Path, folder: Path) -> Node:
    return variables.substitute(read_file(path, folder, "name, data, reward"), os.environ)


def _with_source(known: str, source: str) -> Node:
    """Return the set `known` with another source, or a set with a converter's usual reward."""
    origin = Origin(Path.cwd(), f"{known}:{source}", (0, 0))

    def make(value: str | dict[str, Node]) -> Node:
        return Node(value, origin)

    name = re.sub(r"[^A-Za-z0-9._-]+", "-", f"{known}-{Path(source).name.partition('.')[0]}")[:64]
    if known in _shipped():
        base = _read(known)
        data = dict(base.children["data"].children)
        changed = {"data": base.children["data"].with_value({**data, "source": make(source)}), "get": make("")}
        return base.with_value({**base.children, **changed, "name": make(name)})
    reward = _REWARDS.get(known, "code_tests")
    metric = "pass@1" if reward == "code_tests" else "accuracy"
    data = {"converter": make(known), "source": make(source)}
    return make({"name": make(name), "data": make(data), "reward": make(reward), "metric": make(metric)})


def _validate(root: Node) -> EvaluationSet:
    root = paths.resolve(root, EvaluationSet)
    try:
        given = EvaluationSet.model_validate(root.plain())
    except ValidationError as error:
        raise RecipeError(problem_at(root, *each) for each in explain(error, root, EvaluationSet)) from None
    if found := list(_find_problems(given)):
        raise RecipeError(problem_at(root, *each) for each in found)
    return _find_compressed(given)


def _find_compressed(given: EvaluationSet) -> EvaluationSet:
    """Return the set with its source compressed, or not, if only that file exists."""
    path = Path(given.data.source)
    other = path.with_suffix("") if path.suffix == ".gz" else path.with_name(f"{path.name}.gz")
    if path.exists() or not path.is_absolute() or not other.is_file():
        return given
    return given.model_copy(update={"data": given.data.model_copy(update={"source": str(other)})})


def _find_problems(given: EvaluationSet) -> Iterator[tuple[Loc, str]]:
    """Find unknown converters and rewards, and unknown options of theirs."""
    from rewards.errors import RewardError
    from rewards.scoring.combination import read_entry

    data = given.data
    try:
        converter = find(data.converter, Path(data.file) if data.file else None)
        converter.find_record(converter.read_options(data.options))
        if "rl" not in converter.shapes:
            yield (
                ("data", "converter"),
                f"converter {data.converter} makes only sft rows, which have no references to score responses by",
            )
    except SourceError as error:
        yield ("data",), str(error)
    for number, reward in enumerate(given.rewards):
        try:
            read_entry(reward.model_dump())
        except RewardError as error:
            yield ("reward", number) if isinstance(given.reward, list) else ("reward",), str(error)
