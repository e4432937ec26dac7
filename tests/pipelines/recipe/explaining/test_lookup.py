"""Finding keys by their ends, and where they go."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.errors import InputError
from pipelines.recipe.explaining.index import recipe_keys
from pipelines.recipe.explaining.lookup import Explanation, explain, names
from pipelines.recipe.reserved_keys import ALSO_RENDERED, RESERVED, owners
from pipelines.recipe.upstream_keys import keys
from tests.pipelines.run.test_plan import flatten, plan_of


def only(query: str) -> Explanation:
    """Return the only meaning of a key."""
    (found,) = explain(query).matches
    return found


@pytest.mark.parametrize(
    "query",
    [
        "rollout.samples",
        "stages.rollout.samples",
        "stages.stage-one.rollout.samples",
        "stages[1].rollout.samples",
        "stages.0.rollout.samples",
        "defaults.rl.rollout.samples",
        "stages.STAGE.rollout.samples",
    ],
)
def test_a_key_is_found_however_it_is_written(query: str) -> None:
    assert only(query).key == "stages.STAGE.rollout.samples"


def test_a_whole_name_wins_over_ends() -> None:
    found = explain("name")
    assert [each.key for each in found.matches] == ["name"]
    assert {"stages.STAGE.name", "stages.STAGE.tool.name", "stages.STAGE.reward.name"} <= {*found.others}


def test_the_kind_of_stage_decides() -> None:
    assert [each.stages for each in explain("batch").matches] == [("sft",), ("rl",)]
    assert only("defaults.rl.batch").stages == ("rl",)


def test_trainers_keys() -> None:
    assert only("cutoff_len").set_by == ("stages.STAGE.max_tokens",)
    assert only("stages.x.verl.actor_rollout_ref.rollout.n").set_by == ("stages.STAGE.rollout.samples",)
    free = only("neftune_noise_alpha")
    assert free.source == "llamafactory" and not free.refused and "noise" in free.meaning
    both = explain("trainer.logger").matches
    assert [(each.source, each.stages) for each in both] == [("verl", ("rl",)), ("verl", ("sft",))]
    assert "checkpoints are written" in only("output_dir").refused
    assert "use the stage's `reward`" in explain("custom_reward_function").matches[0].refused


def test_a_typed_key_hides_the_upstream_key_of_its_name() -> None:
    assert {each.source for each in explain("learning_rate").matches} == {"recipe"}
    assert explain("learning_rate").matches[0].sets


def test_groups() -> None:
    assert all("format" in each.keys for each in explain("multi_turn").matches)
    assert "samples" in only("rollout").keys


def test_an_unknown_key() -> None:
    with pytest.raises(InputError, match=r"did you mean 'rollout\.samples'"):
        explain("rollout.sampels")
    with pytest.raises(InputError, match="no key ''"):
        explain("")
    with pytest.raises(InputError, match="no key 'zzzzqqq'"):
        explain("zzzzqqq")


def test_every_key_can_be_explained() -> None:
    for name in names()[::5]:
        assert explain(name).matches


def test_every_owner_is_a_key_of_the_recipe() -> None:
    known = {key.short for key in recipe_keys()}
    for upstream in RESERVED:
        for name in [*RESERVED[upstream], *(key for each in ALSO_RENDERED.get(upstream, {}).values() for key in each.split())]:
            first, *_ = [*owners(upstream, name), "model"]
            assert first in known, name


CHANGED = {
    "stages.sft.learning_rate=0.5": "execverify.yaml",
    "stages.sft.max_tokens=777": "execverify.yaml",
    "stages.sft.batch.per_device=7": "execverify.yaml",
    "stages.sft.batch.accumulate=7": "execverify.yaml",
    "stages.sft.save_every=7": "execverify.yaml",
    "stages.sft.validate_every=7": "execverify.yaml",
    "stages.sft.keep_checkpoints=7": "execverify.yaml",
    "stages.sft.epochs=7": "execverify.yaml",
    "stages.sft.template=llama3": "execverify.yaml",
    "seed=5": "execverify.yaml",
    "stages.stage-one.rollout.samples=16": "execverify.yaml",
    "stages.stage-one.rollout.temperature=0.7": "execverify.yaml",
    "stages.stage-one.rollout.top_p=0.7": "execverify.yaml",
    "stages.stage-one.rollout.tensor_parallel=2": "execverify.yaml",
    "stages.stage-one.rollout.gpu_memory=0.3": "execverify.yaml",
    "stages.stage-one.rollout.max_prompt_tokens=777": "execverify.yaml",
    "stages.stage-one.rollout.max_response_tokens=777": "execverify.yaml",
    "stages.stage-one.batch.prompts=256": "execverify.yaml",
    "stages.stage-one.batch.mini=32": "execverify.yaml",
    "stages.stage-one.batch.micro_per_gpu=2": "execverify.yaml",
    "stages.rl.critic.learning_rate=0.5": "apps_ppo.yaml",
    "stages.rl.critic.warmup_steps=5": "apps_ppo.yaml",
    "stages.rl.kl.coefficient=0.5": "custom_sft.yaml",
    "stages.rl.kl.estimator=mse": "custom_sft.yaml",
    "stages.sft.batch.per_device=4": "custom_sft.yaml",
    "stages.sft.max_tokens=2048": "custom_sft.yaml",
    "stages.rl.tool.max_turns=5": "python_interpreter.yaml",
    "stages.rl.tool.format=qwen3_coder": "python_interpreter.yaml",
    "stages.rl.tool.max_output_chars=5000": "python_interpreter.yaml",
}
"""A changed key -> the recipe that it is changed in."""


@pytest.mark.parametrize(("option", "recipe"), CHANGED.items())
def test_a_key_goes_where_explain_says(option: str, recipe: str) -> None:
    """Exactly the keys that are listed change in the trainer's configuration, or are computed from them."""
    key = option.partition("=")[0]
    stage = key.split(".")[1] if key.startswith("stages.") else "sft"
    before, now = (_settings(plan_of(recipe, "cuda", *sets).step(f"{stage}/train").launch.files) for sets in ((), (option,)))
    changed = {name for name in before.keys() | now.keys() if before.get(name) != now.get(name)}
    listed = {each.key for match in explain(key).matches for each in match.sets}
    assert changed & listed
    derived = re.compile(
        r"seed|kwargs|max_token_len_per_gpu|eval_batch_size|rollout_batch|custom_cls|train_batch_size|max_.*ckpt"
    )
    assert [name for name in changed - listed if not derived.search(name)] == []


def _settings(files: Any) -> dict[str, Any]:
    return dict(flatten(yaml.safe_load(files["train.yaml"])))


def test_every_listed_key_exists() -> None:
    lists = {("sft", "llamafactory"): "llamafactory", ("sft", "verl"): "verl_sft", ("rl", "verl"): "verl"}
    for key in recipe_keys():
        for match in explain(key.short if not key.stages else f"stages.{key.short}").matches:
            for each in match.sets:
                upstream = lists[each.stages, each.trainer]
                assert each.key in keys(upstream) or each.key in RESERVED[upstream]


def test_examples_are_recipes(tmp_path: Path) -> None:
    for key in recipe_keys():
        for match in explain(f"stages.{key.short}" if key.stages else key.short).matches:
            if match.example:
                assert isinstance(yaml.safe_load(match.example), dict)
