"""`evaluate` of a recipe: on what the models of the chain are measured, and what they must reach."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from pipelines.recipe.nodes import Loc
from pipelines.shipped import RECIPES
from preprocess.config import Model, PathRule
from rewards.suggestions import any_of, nearest_path, suggestion

OWN = "own"
"""The set of a stage's own validation rows."""

_SETS = RECIPES / "evaluations"
_SUFFIXES = (".yaml", ".yml")
_FIGURE = re.compile(r"pass@([1-9]\d*)|accuracy|tests|score")
_BOUND = re.compile(r"(>=|>)\s*(?:(previous)\s*([+-]\s*[\d.]+)?|(-?[\d.]+))")
_KS = (1, 10, 100)


class Evaluate(Model):
    """Evaluations of the models of the chain. A failed evaluation never stops a training."""

    on: list[Annotated[str, Field(min_length=1), PathRule(hub=False, suffixes=_SUFFIXES)]] = Field(default=[OWN], min_length=1)
    """Evaluation sets: names of sets that ship, set files, and `own`, the validation rows of the stage."""
    samples: int | None = Field(default=None, ge=1)
    """Responses per problem; default: the set's, mostly 1."""
    temperature: float | None = Field(default=None, ge=0)
    """Sampling temperature, 0 is greedy; default: the set's, mostly 0; 1 with several samples."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Longest response; default: the set's, for `own` that of the stage's rollout."""
    limit: int | None = Field(default=None, ge=1)
    """Use the first problems of each set; default: all."""
    before: bool = True
    """Evaluate the model that the first stage starts from."""
    after: Literal["each", "last"] = "each"
    """Evaluate the model of each stage, or of the last stage only."""
    require: dict[str, str] = Field(default={})
    """Figures that the model of a stage must reach, or the run stops: `{humaneval.pass@1: ">= previous"}`, a set and a figure
    with a bound, which is a number or `previous`, the model that the stage starts from (`">= previous - 0.02"`)."""


@dataclass(frozen=True)
class Requirement:
    """A figure that a model must reach."""

    set: str
    figure: str
    text: str
    """The bound as it was written."""
    strict: bool
    relative: bool
    """Whether the bound is relative to the previous model."""
    bound: float

    def allows(self, value: float, previous: float = 0.0) -> bool:
        """Return whether a figure meets the requirement; `previous` is that of the previous model."""
        # Means of the same problems differ in their last digits with the order of the sum.
        margin = round(value - previous * self.relative - self.bound, 9)
        return margin > 0 if self.strict else margin >= 0


def read_requirements(evaluate: Evaluate) -> list[Requirement]:
    """Return the requirements of a checked recipe."""
    found = []
    for key, text in evaluate.require.items():
        name, _, figure = key.rpartition(".")
        match = _BOUND.fullmatch(text.strip())
        assert match is not None
        bound = float((match[3] or match[4] or "0").replace(" ", ""))
        found.append(Requirement(name, figure, text.strip(), match[1] == ">", match[2] is not None, bound))
    return found


def check(evaluate: Evaluate, kinds: Collection[str]) -> Iterator[tuple[Loc, str]]:
    """Find unknown sets and requirements that cannot be checked.

    Args:
        evaluate: The section.
        kinds: The kinds of the recipe's stages.
    """
    for index, name in enumerate(evaluate.on):
        if problem := _check_set(name, kinds):
            yield ("on", index), problem
        elif evaluate.on.index(name) != index:
            yield ("on", index), f"{name} is listed twice"
    if (evaluate.samples or 1) > 1 and evaluate.temperature == 0:
        yield (
            ("temperature",),
            f"at temperature 0 all {evaluate.samples} samples are the same; remove `temperature`, or set it above 0",
        )
    for key, text in evaluate.require.items():
        if problem := _check_figure(key, evaluate) or _check_bound(text, evaluate) or _check_share(key, text):
            yield ("require", key), problem


def _check_set(name: str, kinds: Collection[str]) -> str | None:
    if name == OWN:
        return None if "rl" in kinds else "own: the recipe has no stage of kind rl, whose rows a reward can score"
    if name.endswith(_SUFFIXES):
        return None if Path(name).is_file() else f"set file not found: {name}{nearest_path(Path(name))}"
    known = [OWN, *sorted(path.stem for path in _SETS.glob("*.yaml"))]
    if name in known:
        return None
    return f"no evaluation set is called {name!r}{suggestion(name, known)}"


def _check_figure(key: str, evaluate: Evaluate) -> str | None:
    name, _, figure = key.rpartition(".")
    match = _FIGURE.fullmatch(figure)
    if not name or match is None:
        return "expected a set and its figure, SET.pass@K, SET.accuracy, SET.tests or SET.score, such as humaneval.pass@1"
    names = [each for each in evaluate.on if not each.endswith(_SUFFIXES)]
    if name not in names and len(names) == len(evaluate.on):
        return f"{name} is not in `evaluate.on`{suggestion(name, names)}"
    if match[1] is None or evaluate.samples is None:
        return None
    ks = sorted({*(k for k in _KS if k <= evaluate.samples), evaluate.samples})
    if int(match[1]) in ks:
        return None
    return f"with samples: {evaluate.samples}, the figures are {any_of([f'pass@{k}' for k in ks]).replace(' or ', ' and ')}"


def _check_share(key: str, text: str) -> str | None:
    """Check the bound of a figure that is a share; a score may be any number."""
    match = _BOUND.fullmatch(text.strip())
    if match is None or key.endswith(".score"):
        return None
    bound = float((match[3] or match[4] or "0").replace(" ", ""))
    if match[2] is None and not 0 <= bound <= 1:
        return f"found {text!r}, expected a share from 0 to 1"
    if bound >= 1 and (match[2] is not None or match[1] == ">"):
        return f"found {text!r}: no model can reach it, a share is at most 1"
    return None


def _check_bound(text: str, evaluate: Evaluate) -> str | None:
    match = _BOUND.fullmatch(text.strip())
    try:
        float((match[3] or match[4] or "0").replace(" ", "") if match else "no")
    except ValueError:
        return f'found {text!r}, expected a bound such as ">= 0.4", ">= previous" or ">= previous - 0.02"'
    if match and match[2] and evaluate.after == "last" and not evaluate.before:
        return "with after: last and before: false there is no previous evaluation; set before: true"
    return None
