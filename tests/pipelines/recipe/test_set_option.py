"""`--set key=value`."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from pipelines.recipe.loading import load
from pipelines.recipe.schema import RlStage, SftStage, TinyModel
from pipelines.recipe.set_option import apply_set_options

from .conftest import Write, build, problems


def loaded(*sets: str) -> tuple[Any, SftStage, RlStage]:
    recipe = load(Path("small.yaml"), sets).recipe
    sft, rl = recipe.stages
    assert isinstance(sft, SftStage)
    assert isinstance(rl, RlStage)
    return recipe, sft, rl


def test_values_are_read_as_yaml(write: Write) -> None:
    recipe, sft, rl = loaded(
        "stages.sft.learning_rate=2e-5",
        "stages.0.save_every=3",
        "stages.rl.keep_checkpoints=null",
        "stages.rl.critic=",
        "stages.sft.lora.rank=4",
        "model={make: qwen2, layers: 3}",
        "stages.rl.reward={name: code_tests, options: {max_tests: 3}}",
        "name=7",
    )
    assert (sft.learning_rate, sft.save_every, rl.keep_checkpoints, rl.critic) == (2e-5, 3, None, None)
    assert sft.lora is not None
    assert sft.lora.rank == 4
    assert recipe.model == TinyModel(make="qwen2", layers=3)
    assert rl.reward.options == {"max_tests": 3}  # type: ignore[union-attr]
    assert recipe.name == "7", "text fields take the text"


def test_upstream_keys_are_set_by_their_dotted_names(write: Write) -> None:
    _, sft, rl = loaded(
        "stages.rl.verl.actor_rollout_ref.rollout.enforce_eager=false",
        "stages.rl.verl.actor_rollout_ref.rollout.engine_kwargs.vllm.swap_space=4",
        "stages.sft.llamafactory.warmup_ratio=!remove",
        "stages.sft.llamafactory.lr_scheduler_type=cosine",
    )
    assert rl.verl == {"actor_rollout_ref": {"rollout": {"enforce_eager": False, "engine_kwargs": {"vllm": {"swap_space": 4}}}}}
    assert sft.llamafactory == {"lr_scheduler_type": "cosine"}


def test_last_option_of_a_key_wins(write: Write) -> None:
    assert loaded("seed=1", "seed=2")[0].seed == 2


def test_stage_name_with_dots(write: Write) -> None:
    path = write("x.yaml", "extends: small.yaml\nstages: [{name: rl, steps: 9}]\n")
    text = path.read_text().replace("rl", "v1.5")
    write("small.yaml", Path("small.yaml").read_text().replace("name: rl", "name: v1.5"))
    recipe = load(write("x.yaml", text), ["stages.v1.5.steps=3"]).recipe
    assert recipe.stages[1].steps == 3


@pytest.mark.parametrize(
    ("option", "line"),
    [
        ("bogus", "--set bogus: expected key=value, such as stages.sft.learning_rate=2e-5"),
        ("=3", "--set =3: expected key=value, such as stages.sft.learning_rate=2e-5"),
        ("stages.sft.learning_rat=1", "--set stages.sft.learning_rat: unknown key; did you mean 'learning_rate'?"),
        ("sed=1", "--set sed: unknown key; did you mean 'seed'?"),
        ("stages.sftt.steps=1", "--set stages.sftt.steps: stages has no 'sftt'; did you mean 'sft'?"),
        ("stages.7.steps=1", "--set stages.7.steps: stages has 2 items, counted from 0"),
        (
            "model.layers=1",
            "--set model.layers: model is 'Qwen/Qwen2.5-Coder-7B-Instruct' (small.yaml:2), not a mapping",
        ),
        ("a..b=1", "--set a..b: empty key: two dots in a row, or a dot at an end"),
        (
            "seed=[1",
            "--set seed: not valid YAML: while parsing a flow sequence expected ',' or ']', but got '<stream end>'",
        ),
        ("seed=many", "--set seed: found the text 'many', expected a whole number"),
        ("stages.rl.kl=!remove", "--set stages.rl.kl: !remove: nothing to remove, the recipe does not set this"),
        (
            "stages.rl.verl.data.shufle=true",
            "--set stages.rl.verl.data.shufle: unknown key; did you mean 'shuffle'?",
        ),
    ],
)
def test_mistake_is_one_line(option: str, line: str, write: Write) -> None:
    assert problems("small.yaml", option) == [line]


def test_mistakes_of_several_options_are_reported(write: Write) -> None:
    assert len(problems("small.yaml", "bogus", "stages.x.y=1", "seed=2")) == 2


def leaves(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if isinstance(value, dict) and value:
        return [leaf for key, child in value.items() for leaf in leaves(child, (*path, key))]
    return [path]


@pytest.mark.parametrize("seed", range(50))
def test_setting_every_leaf_gives_the_same_tree(seed: int) -> None:
    choose = random.Random(seed)

    def mapping(depth: int) -> dict[str, Any]:
        keys = choose.sample("abcde", 3)
        return {key: mapping(depth - 1) if depth and choose.random() < 0.5 else choose.randrange(9) for key in keys}

    tree = mapping(3)
    paths = leaves(tree)
    choose.shuffle(paths)

    def at(path: tuple[str, ...]) -> Any:
        value: Any = tree
        for key in path:
            value = value[key]
        return value

    options = [f"{'.'.join(path)}={at(path)}" for path in paths]
    assert apply_set_options(build({}), options, Path()).plain() == tree
    assert apply_set_options(build(tree), options, Path()).plain() == tree, "setting existing values changes nothing"
