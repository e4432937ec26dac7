"""`evaluate` of a recipe: sets, requirements, and mistakes in them."""

from __future__ import annotations

import pytest

from pipelines.recipe.evaluating import Evaluate, Requirement, read_requirements
from pipelines.recipe.loading import load

from .conftest import RECIPE, Write, problems

# The value of `evaluate`, and the error on line 24 of the recipe.
MISTAKES = {
    "unknown set": (
        "{on: [humanevl]}",
        "evaluate.on[0]: no evaluation set is called 'humanevl'; did you mean 'humaneval'?",
    ),
    "missing set file": ("{on: [none.yaml]}", "evaluate.on[0]: set file not found: "),
    "no sets": ("{on: []}", "evaluate.on: found an empty list, expected at least 1 item"),
    "a set twice": ("{on: [own, own]}", "evaluate.on[1]: own is listed twice"),
    "unknown key": ("{sample: 4}", "evaluate.sample: unknown key; did you mean 'samples'?"),
    "unknown choice": ("{after: eech}", "evaluate.after: found 'eech', expected each or last; did you mean 'each'?"),
    "greedy samples": ("{samples: 4, temperature: 0}", "evaluate.temperature: at temperature 0 all 4 samples are the same"),
    "a figure without a set": (
        "{require: {accuracy: '> 0'}}",
        "evaluate.require.accuracy: expected a set and its figure, SET.",
    ),
    "unknown figure": ("{require: {own.acc: '> 0'}}", "evaluate.require.own.acc: expected a set and its figure, SET."),
    "a set that is not evaluated": (
        "{on: [own], require: {owm.accuracy: '> 0'}}",
        "evaluate.require.owm.accuracy: owm is not in `evaluate.on`; did you mean 'own'?",
    ),
    "a k without samples": (
        "{samples: 4, require: {own.pass@2: '> 0'}}",
        "evaluate.require.own.pass@2: with samples: 4, the figures are pass@1 and pass@4",
    ),
    "a bound": (
        "{require: {own.accuracy: previous}}",
        'evaluate.require.own.accuracy: found \'previous\', expected a bound such as ">= 0.4", ">= previous" or '
        '">= previous - 0.02"',
    ),
    "a number with two points": (
        "{require: {own.accuracy: '> 0.1.2'}}",
        "evaluate.require.own.accuracy: found '> 0.1.2', expect",
    ),
    "no previous evaluation": (
        "{before: false, after: last, require: {own.accuracy: '>= previous'}}",
        "evaluate.require.own.accuracy: with after: last and before: false there is no previous evaluation; set before: true",
    ),
}


@pytest.mark.parametrize(("value", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes(write: Write, value: str, message: str) -> None:
    (found,) = problems(write("x.yaml", f"{RECIPE}evaluate: {value}\n"))
    assert found.startswith(f"x.yaml:24: {message}")


def test_own_rows_need_a_stage_with_rewards(write: Write) -> None:
    sft_only = RECIPE[: RECIPE.index("  - name: rl")]
    (found,) = problems(write("x.yaml", f"{sft_only}evaluate: {{}}\n"))
    assert found == "x.yaml:12: evaluate.on[0]: own: the recipe has no stage of kind rl, whose rows a reward can score"


def test_a_set_file_is_relative_to_the_recipe(write: Write) -> None:
    write("sets/mine.yaml", "")
    evaluate = load(write("x.yaml", f"{RECIPE}evaluate: {{on: [humaneval, sets/mine.yaml, own]}}\n")).recipe.evaluate
    assert evaluate is not None
    name, path, own = evaluate.on
    assert (name, own) == ("humaneval", "own")
    assert path.startswith("/") and path.endswith("/sets/mine.yaml")


@pytest.mark.parametrize(
    ("text", "passes", "fails"),
    [
        (">= 0.4", [(0.4, 0.9), (0.5, 0.9)], [(0.39, 0.1)]),
        ("> previous", [(0.5, 0.4)], [(0.5, 0.5)]),
        (">=previous", [(0.1 + 0.2, 0.3), (0.3, 0.1 + 0.2)], [(0.29, 0.3)]),
        (">= previous - 0.02", [(0.28, 0.3)], [(0.27, 0.3)]),
        ("> previous + 0.1", [(0.41, 0.3)], [(0.4, 0.3)]),
    ],
)
def test_bounds(text: str, passes: list[tuple[float, float]], fails: list[tuple[float, float]]) -> None:
    (found,) = read_requirements(Evaluate(require={"my.set.pass@1": text}))
    assert (found.set, found.figure) == ("my.set", "pass@1")
    assert all(found.allows(*each) for each in passes)
    assert not any(found.allows(*each) for each in fails)


def test_a_bound_is_kept_as_written() -> None:
    assert read_requirements(Evaluate(require={"own.accuracy": " >= previous "})) == [
        Requirement("own", "accuracy", ">= previous", strict=False, relative=True, bound=0.0)
    ]
