"""`extends`: merging recipes."""

from __future__ import annotations

import random
from typing import Any

import pytest

from pipelines.recipe.loading import load
from pipelines.recipe.merging import clear_marks, deep_merge
from pipelines.recipe.nodes import Node
from pipelines.recipe.reading import read
from pipelines.recipe.schema import RlStage, SftStage

from .conftest import ORIGIN, Write, build


def tree(text: str) -> Node:
    return read(text, lambda _: ORIGIN)


def random_mapping(choose: random.Random, depth: int = 3) -> dict[str, Any]:
    def value() -> Any:
        kind = choose.choice(["scalar", "list", "mapping"] if depth else ["scalar"])
        if kind == "mapping":
            return random_mapping(choose, depth - 1)
        return choose.choice([None, True, 3, 2.5, "text"]) if kind == "scalar" else [choose.randrange(9) for _ in "ab"]

    return {choose.choice("abcd"): value() for _ in range(choose.randrange(4))}


def expected(base: Any, over: Any) -> Any:
    """The merging rule, without marks and stages."""
    if isinstance(base, dict) and isinstance(over, dict):
        return base | {key: expected(base.get(key), value) for key, value in over.items()}
    return over


@pytest.mark.parametrize("seed", range(200))
def test_mappings_merge_and_other_values_replace(seed: int) -> None:
    choose = random.Random(seed)
    base, over = random_mapping(choose), random_mapping(choose)
    assert deep_merge(build(base), build(over)).plain() == expected(base, over)
    assert deep_merge(build({}), build(over)).plain() == over
    assert deep_merge(build(base), build({})).plain() == base
    assert deep_merge(build(over), build(over)).plain() == over


def test_stages_merge_by_name() -> None:
    base = tree("stages: [{name: a, x: {p: 1}}, {name: b, y: 2}]")
    over = tree("stages: [{name: c}, {name: b, z: 3}, {name: a, x: {q: 2}}]")
    assert deep_merge(base, over).plain() == {
        "stages": [{"name": "a", "x": {"p": 1, "q": 2}}, {"name": "b", "y": 2, "z": 3}, {"name": "c"}]
    }


def test_only_top_level_stages_merge_by_name() -> None:
    base = tree("{a: {stages: [{name: a, x: 1}]}, b: [{name: a, x: 1}]}")
    over = tree("{a: {stages: [{name: a, y: 1}]}, b: [{name: a, y: 1}]}")
    assert deep_merge(base, over).plain() == over.plain()


def test_remove_and_replace() -> None:
    base = tree("{a: {p: 1, q: 2}, b: {p: 1}, c: 1, stages: [{name: a}, {name: b, x: {p: 1}}]}")
    over = tree("{a: {p: !remove }, b: !replace {q: 2}, c: !remove , stages: [!remove {name: a}, {name: b, x: !remove }]}")
    assert deep_merge(base, over).plain() == {"a": {"q": 2}, "b": {"q": 2}, "stages": [{"name": "b"}]}
    assert deep_merge(base, tree("stages: !replace [{name: z}]")).plain()["stages"] == [{"name": "z"}]


def test_null_is_a_value() -> None:
    assert deep_merge(tree("{a: {p: 1}, b: 2}"), tree("{a: null, b: ~}")).plain() == {"a": None, "b": None}


def test_clearing_marks_keeps_values() -> None:
    value = {"a": [1, {"b": None}], "c": {"d": "e"}}
    assert clear_marks(build(value)).plain() == value


def test_several_bases_merge_in_order(write: Write) -> None:
    write("one.yaml", "seed: 1\nhardware: {nodes: 1, gpus_per_node: 8}\n")
    write("two.yaml", "seed: 2\nhardware: {nodes: 2}\n")
    recipe = load(write("x.yaml", "extends: [small.yaml, one.yaml, two.yaml]\nhardware: {platform: cuda}\n")).recipe
    assert recipe.seed == 2
    assert recipe.hardware.model_dump() == {"platform": "cuda", "nodes": 2, "gpus_per_node": 8}


def test_stage_of_the_base_is_changed_by_name(write: Write) -> None:
    text = """\
    extends: small.yaml
    stages:
      - name: sft
        epochs: !remove
        steps: 7
      - name: rl
        data:
          validation: !replace {converter: execverify_rl, source: held-out.json}
        verl: {actor_rollout_ref: {rollout: {max_num_seqs: 8}}}
    """
    sft, rl = load(write("x.yaml", text)).recipe.stages
    assert isinstance(sft, SftStage)
    assert isinstance(rl, RlStage)
    assert (sft.epochs, sft.steps) == (None, 7)
    assert rl.data.validation.model_dump()["converter"] == "execverify_rl"  # type: ignore[union-attr]
    assert rl.verl == {"actor_rollout_ref": {"rollout": {"enforce_eager": True, "max_num_seqs": 8}}}


def test_anchors_and_merge_keys() -> None:
    text = "a: &a {p: 1, q: 2}\nb: {<<: *a, q: 3}\nc: {<<: [{p: 0}, *a]}\nd: *a\n"
    assert tree(text).plain() == {
        "a": {"p": 1, "q": 2},
        "b": {"p": 1, "q": 3},
        "c": {"p": 0, "q": 2},
        "d": {"p": 1, "q": 2},
    }
