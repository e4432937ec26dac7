"""Recipes with the names of other tools, and files that are no recipes: few lines, each with its place and the right key."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.cli.planning import plan_recipe
from pipelines.recipe.loading import load
from pipelines.recipe.problems import SHOWN, RecipeError

from .conftest import RECIPE, Write, problems

NAMES = [
    ("sft", "save_steps", "save_every"),
    ("sft", "eval_steps", "validate_every"),
    ("sft", "save_total_limit", "keep_checkpoints"),
    ("sft", "lr", "learning_rate"),
    ("sft", "cutoff_len", "max_tokens"),
    ("sft", "sequence_len", "max_tokens"),
    ("sft", "max_seq_length", "max_tokens"),
    ("sft", "num_train_epochs", "epochs"),
    ("sft", "num_epochs", "epochs"),
    ("sft", "max_steps", "steps"),
    ("sft", "per_device_train_batch_size", "batch.per_device"),
    ("sft", "micro_batch_size", "batch.per_device"),
    ("sft", "gradient_accumulation_steps", "batch.accumulate"),
    ("sft", "lora_r", "lora.rank"),
    ("sft", "lora_rank", "lora.rank"),
    ("sft", "lora_alpha", "lora.alpha"),
    ("sft", "lora_target", "lora.target"),
    ("sft", "adapter", "lora"),
    ("sft", "finetuning_type", "lora"),
    ("sft", "sample_packing", "packing"),
    ("sft", "dataset", "data.train"),
    ("sft", "model_name_or_path", "model"),
    ("sft", "warmup_ratio", "llamafactory.warmup_ratio"),
    ("sft", "lr_scheduler_type", "llamafactory.lr_scheduler_type"),
    ("sft", "deepspeed", "llamafactory.deepspeed"),
    ("sft", "bf16", "llamafactory.bf16"),
    ("rl", "n", "rollout.samples"),
    ("rl", "num_generations", "rollout.samples"),
    ("rl", "max_completion_length", "rollout.max_response_tokens"),
    ("rl", "max_prompt_length", "rollout.max_prompt_tokens"),
    ("rl", "train_batch_size", "batch.prompts"),
    ("rl", "ppo_mini_batch_size", "batch.mini"),
    ("rl", "beta", "kl.coefficient"),
    ("rl", "adv_estimator", "algorithm"),
    ("rl", "reward_funcs", "reward"),
    ("rl", "total_epochs", "epochs"),
    ("rl", "save_freq", "save_every"),
    ("rl", "test_freq", "validate_every"),
    ("rl", "tensor_model_parallel_size", "rollout.tensor_parallel"),
    ("rl", "gpu_memory_utilization", "rollout.gpu_memory"),
    ("rl", "clip_ratio_high", "verl.actor_rollout_ref.actor.clip_ratio_high"),
    ("rl", "entropy_coeff", "verl.actor_rollout_ref.actor.entropy_coeff"),
    ("rl", "epsilon_high", "verl.actor_rollout_ref.actor.clip_ratio_high"),
    ("rl", "report_to", "trackers"),
]


@pytest.mark.parametrize(("stage", "name", "key"), NAMES, ids=str)
def test_names_of_other_tools_in_a_stage(stage: str, name: str, key: str, write: Write) -> None:
    path = write("x.yaml", f"extends: small.yaml\nstages:\n- name: {stage}\n  {name}: 1\n")
    assert f"x.yaml:4: stages.{stage}.{name}: unknown key; did you mean {key!r}?" in problems(path)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("extend", "extends"),
        ("default", "defaults"),
        ("wandb", "trackers"),
        ("report_to", "trackers"),
        ("base_model", "model"),
        ("model_name_or_path", "model"),
        ("learning_rate", "stages.STAGE.learning_rate"),
        ("num_train_epochs", "stages.STAGE.epochs"),
        ("save_steps", "stages.STAGE.save_every"),
        ("cutoff_len", "stages.STAGE.max_tokens"),
        ("n_gpus_per_node", "hardware.gpus_per_node"),
        ("nnodes", "hardware.nodes"),
    ],
)
def test_names_of_other_tools_at_the_top(name: str, key: str, write: Write) -> None:
    (line,) = problems(write("x.yaml", f"extends: small.yaml\n{name}: 1\n"))
    assert line == f"x.yaml:2: {name}: unknown key; did you mean {key!r}?"


def test_a_foreign_name_inside_a_mapping(write: Write) -> None:
    (line,) = problems(write("x.yaml", "extends: small.yaml\nstages:\n- name: rl\n  rollout: {max_response_length: 9}\n"))
    assert line.endswith("did you mean 'max_response_tokens'?")


@pytest.mark.parametrize(
    "text",
    ["name: " + "[" * 5000 + "]" * 5000, "".join(f"{'  ' * depth}k{depth}:\n" for depth in range(600))],
    ids=["lists", "mappings"],
)
def test_nesting_without_end(text: str, write: Write) -> None:
    (line,) = problems(write("x.yaml", text))
    assert line.endswith("not valid YAML: found more than 64 levels")


def test_more_values_than_a_recipe_has(write: Write) -> None:
    (line,) = problems(write("x.yaml", "".join(f"unknown_{number}: 1\n" for number in range(6000))))
    assert "found more than 5000 values" in line


@pytest.mark.parametrize("indent", ["", "    verl:\n      ", "    verl:\n      actor_rollout_ref.actor:\n        "])
def test_many_mistakes_are_not_all_shown(indent: str, write: Write) -> None:
    start, _, spaces = indent.rpartition("\n")
    more = "".join(f"{spaces}unknown_{number}: 1\n" for number in range(1000))
    recipe = RECIPE.replace("    verl: {actor_rollout_ref.rollout.enforce_eager: true}\n", "")
    lines = problems(write("x.yaml", f"{recipe}{start}\n{more}"))
    assert len(lines) == SHOWN + 1
    assert "unknown_0: unknown key" in lines[0]
    assert lines[-1] == "more mistakes are not shown; fix these first"


def steps(write: Write, text: str) -> int | None:
    path = write("x.yaml", f"extends: small.yaml\nstages:\n- name: rl\n  {text}\n")
    return load(path).recipe.stages[1].steps


def test_replace_before_a_scalar_keeps_it(write: Write) -> None:
    assert steps(write, "steps: !replace 3") == 3


def test_replace_before_text_in_quotes(write: Write) -> None:
    (line,) = problems(write("x.yaml", "extends: small.yaml\nstages:\n- name: rl\n  steps: !replace '3'\n"))
    assert "found the text '3', expected a whole number" in line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("steps: !replace", "!replace: expected a value after it"),
        ("steps: !remove 3", "!remove stands alone, found '3' after it"),
        ("rollout: {temperature: !remove}", "write a space after !remove and !replace"),
    ],
)
def test_marks_without_or_with_a_value(text: str, expected: str, write: Write) -> None:
    (line,) = problems(write("x.yaml", f"extends: small.yaml\nstages:\n- name: rl\n  {text}\n"))
    assert line.startswith("x.yaml:4: ")
    assert expected in line


def test_an_empty_variable_is_named(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMPTY", "")
    (line,) = problems(write("x.yaml", "extends: small.yaml\nmodel: ${env:EMPTY}\n"))
    assert line == "x.yaml:2: model: found null, expected text; the environment variable EMPTY is empty"
    load(write("y.yaml", "extends: small.yaml\nmodel: 'a/b${env:EMPTY}'\n"))


def test_mistakes_that_rendering_finds_have_a_place(write: Write, tmp_path: Path) -> None:
    path = write(
        "x.yaml", "extends: small.yaml\nhardware: {platform: cpu}\nstages:\n- name: rl\n  steps: !remove\n  epochs: 0.5\n"
    )
    with pytest.raises(RecipeError) as caught:
        plan_recipe(path, [], tmp_path, smoke=False)
    assert str(caught.value) == "x.yaml:6: stages.rl.epochs: verl trains whole epochs, not 0.5; use `steps` instead"
