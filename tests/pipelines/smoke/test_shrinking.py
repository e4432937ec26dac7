"""Shrinking recipes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.errors import InputError
from pipelines.recipe.loading import Loaded, load
from pipelines.recipe.schema import RlStage, SftStage, TinyModel
from pipelines.run.plan import Machine, make_plan
from pipelines.smoke.shrinking import shrink
from pipelines.smoke.summary import render
from tests import ROOT

RECIPES = sorted(path.name for path in (ROOT / "recipes").glob("*.yaml"))

MINE = """
name: mine
model: Qwen/Qwen3-8B
hardware: {platform: cuda, gpus_per_node: 4}
stages:
  - name: sft
    kind: sft
    data: {train: {converter: alpaca, source: rows.jsonl}, validation: {fraction: 0.1}}
    epochs: 3
    learning_rate: 1.0e-5
    llamafactory: {deepspeed: zero2, flash_attn: fa2, lr_scheduler_type: cosine, warmup_ratio: 0.1}
  - name: rl
    kind: rl
    algorithm: grpo
    data: {train: {converter: mbpp, source: owner/mbpp@train}, validation: {converter: mbpp, source: owner/mbpp@test}}
    reward: [{name: code_tests, weight: 2.0, data_source: "mbpp*"}, exact_mine]
    epochs: 1
    learning_rate: 1.0e-6
    batch: {prompts: 64, mini: 64, micro_per_gpu: 4}
    rollout: {samples: 8, max_prompt_tokens: 700, max_response_tokens: 2000, tensor_parallel: 2}
    kl: {}
    save_every: 100
    verl:
      actor_rollout_ref.actor.entropy_coeff: 0.01
      actor_rollout_ref.actor.ulysses_sequence_parallel_size: 2
      actor_rollout_ref.model.override_config.attn_implementation: flash_attention_2
      trainer.logger: [console, wandb]
"""


@pytest.fixture(autouse=True)
def _empty_hub_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "empty"))


@pytest.fixture
def mine(tmp_path: Path) -> Callable[..., Loaded]:
    def read(*sets: str, text: str = MINE) -> Loaded:
        path = tmp_path / "mine.yaml"
        path.write_text(text.replace('[{name: code_tests, weight: 2.0, data_source: "mbpp*"}, exact_mine]', "code_tests"))
        return load(path, sets)

    return read


def stage(small: Loaded, name: str) -> SftStage | RlStage:
    return next(each for each in small.recipe.stages if each.name == name)


@pytest.mark.parametrize("name", RECIPES)
def test_every_shipped_recipe_becomes_small_and_keeps_its_structure(name: str) -> None:
    before = load(ROOT / "recipes" / name)
    after = shrink(before)[0].recipe
    assert after.hardware.platform == "cpu"
    assert isinstance(after.model, TinyModel)
    assert [(each.name, each.kind, each.trainer) for each in after.stages] == [
        (each.name, each.kind, each.trainer) for each in before.recipe.stages
    ]
    for small, large in zip(after.stages, before.recipe.stages, strict=True):
        assert small.learning_rate == large.learning_rate
        assert (small.steps or 0) <= (4 if isinstance(large, SftStage) else 2) or large.steps == small.steps
        if isinstance(small, RlStage) and isinstance(large, RlStage):
            assert (small.algorithm, small.kl, small.tool) == (large.algorithm, large.kl, large.tool)
            assert [each.name for each in small.rewards] == [*(each.name for each in large.rewards), "tie_break"]
            assert small.batch.prompts <= 4 and small.rollout.samples <= 2
    machine = Machine(
        "cpu",
        Path("/python"),
        dict.fromkeys(("verl", "llamafactory"), Path("/p")),
        {"verl": Path("/s"), "llamafactory": Path("/s")},
    )
    assert make_plan(after, machine, Path("/runs")).steps


def test_changes_of_execverify(golden: Callable[[str, str], None]) -> None:
    _, changes = shrink(load(ROOT / "recipes" / "execverify.yaml"))
    golden("smoke/execverify.txt", "".join(f"{line}\n" for line in render(changes, 200)))


def test_model_is_tiny(mine: Callable[..., Loaded]) -> None:
    model = shrink(mine())[0].recipe.model
    assert isinstance(model, TinyModel)
    assert (model.make, model.like, model.max_tokens) == ("qwen3", "Qwen/Qwen3-8B", 2700)


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("meta-llama/Llama-3.1-8B", "llama"),
        ("Qwen/Qwen2.5-Coder-7B", "qwen2"),
        ("deepseek-ai/deepseek-coder-1.3b", "llama"),
        ("/models/Qwen3-4B", "qwen3"),
        ("owner/unheard-of", "qwen2"),
    ],
)
def test_family_by_name(mine: Callable[..., Loaded], name: str, family: str) -> None:
    model = shrink(mine(f"model={name}"))[0].recipe.model
    assert isinstance(model, TinyModel)
    assert (model.make, model.like) == (family, name)


def test_options_of_the_command_line_are_shrunk_and_small_values_kept(mine: Callable[..., Loaded]) -> None:
    small, _ = shrink(mine("stages.rl.batch.prompts=32", "stages.rl.batch.mini=32", "stages.rl.rollout.max_response_tokens=9"))
    rl = stage(small, "rl")
    assert isinstance(rl, RlStage)
    assert (rl.batch.prompts, rl.rollout.max_response_tokens) == (4, 9)


def test_keys_for_gpus_and_size_are_removed_and_others_kept(mine: Callable[..., Loaded]) -> None:
    small, changes = shrink(mine())
    sft, rl = stage(small, "sft"), stage(small, "rl")
    assert isinstance(sft, SftStage) and isinstance(rl, RlStage)
    assert sft.llamafactory == {"lr_scheduler_type": "cosine", "warmup_ratio": 0.1}
    assert rl.verl["actor_rollout_ref"]["actor"] == {"entropy_coeff": 0.01}
    keys = {each.key for each in changes}
    assert {
        "stages.sft.llamafactory.deepspeed",
        "stages.sft.llamafactory.flash_attn",
        "stages.rl.verl.actor_rollout_ref.actor.ulysses_sequence_parallel_size",
        "stages.rl.verl.actor_rollout_ref.model.override_config.attn_implementation",
        "stages.rl.verl.trainer.logger",
    } <= keys


def test_one_or_several_updates_per_step_are_kept(mine: Callable[..., Loaded]) -> None:
    one = stage(shrink(mine())[0], "rl")
    several = stage(shrink(mine(text=MINE.replace("mini: 64", "mini: 16")))[0], "rl")
    assert isinstance(one, RlStage) and isinstance(several, RlStage)
    assert (one.batch.prompts, one.batch.mini) == (4, 4)
    assert (several.batch.prompts, several.batch.mini) == (4, 2)


def test_stage_from_another_model_starts_from_the_stage_before(mine: Callable[..., Loaded]) -> None:
    small, changes = shrink(mine(text=MINE.replace("algorithm: grpo", "algorithm: grpo\n    init_from: owner/other")))
    assert stage(small, "rl").init_from is None
    assert "stages.rl.init_from" in {each.key for each in changes}


def test_engine_that_does_not_run_on_a_cpu_is_rejected(mine: Callable[..., Loaded]) -> None:
    text = MINE.replace("    verl:\n", "    verl:\n      model_engine: megatron\n").replace("fsdp_config", "megatron")
    with pytest.raises(InputError, match="model_engine megatron does not run on a CPU"):
        text = text.replace("      actor_rollout_ref.actor.ulysses_sequence_parallel_size: 2\n", "")
        shrink(mine("environments.verl=/opt/verl/bin/python", text=text))


def test_smoke_on_a_gpu(mine: Callable[..., Loaded]) -> None:
    small, _ = shrink(mine("hardware.platform=cuda"))
    rl = stage(small, "rl")
    assert small.recipe.hardware.platform == "cuda"
    assert isinstance(rl, RlStage)
    assert rl.verl["actor_rollout_ref"]["model"] == {"override_config": {"attn_implementation": "flash_attention_2"}}


def test_evaluations_are_tiny_and_require_nothing(mine: Callable[..., Loaded]) -> None:
    small, _ = shrink(mine("evaluate={on: [humaneval, own], samples: 10, require: {own.accuracy: '> 0.5'}}"))
    evaluate = small.recipe.evaluate
    assert evaluate is not None
    assert (evaluate.on, evaluate.require) == (["humaneval", "own"], {})
    assert (evaluate.samples, evaluate.limit, evaluate.max_tokens) == (2, 4, 64)


def test_adapters_stay(mine: Callable[..., Loaded]) -> None:
    loaded, changes = shrink(mine("stages.rl.lora={rank: 64, alpha: 64}", "stages.sft.lora={target: 'qkv_proj'}"))
    sft, rl = loaded.recipe.stages
    assert rl.lora is not None and (rl.lora.rank, rl.lora.alpha, rl.lora.target) == (64, 64, "all")
    # The model is not on this machine, so the tiny one may not be of its architecture.
    assert sft.lora is not None and sft.lora.target == "all"
    assert [each.key for each in changes if "lora" in each.key] == ["stages.sft.lora.target"]
