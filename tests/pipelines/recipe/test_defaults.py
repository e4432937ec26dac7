"""`defaults`: keys for all stages of a kind."""

from __future__ import annotations

from pathlib import Path

from pipelines.recipe.loading import load
from pipelines.recipe.schema import RlStage, SftStage
from rewards.suggestions import any_of

from .conftest import Write, problems

RECIPE = """\
name: two
model: Qwen/Qwen2.5-Coder-7B-Instruct
defaults:
  sft: {epochs: 2, learning_rate: 1e-5}
  rl:
    algorithm: grpo
    reward: {name: code_tests, options: {max_tests: 3}}
    learning_rate: 1e-6
    batch: {prompts: 8, mini: 4}
    rollout: {samples: 8, max_prompt_tokens: 256, max_response_tokens: 256}
    kl: {coefficient: 0.01}
    verl: {actor_rollout_ref.rollout.enforce_eager: true}
    epochs: 3
stages:
  - name: sft
    kind: sft
    data: {train: {converter: execverify_sft, source: data/sft.json}, validation: {fraction: 0.02}}
  - name: one
    kind: rl
    data: {train: {converter: execverify_rl, source: data/rl.json}, validation: {fraction: 0.02}}
    reward: white_box
    kl: null
  - name: two
    kind: rl
    data: {train: {converter: eurus, source: data/eurus}, validation: own}
    epochs: null
    steps: 7
    rollout: {samples: 4}
    verl: {actor_rollout_ref: {rollout: {max_num_seqs: 8}}}
"""


def stages(path: Path, *sets: str) -> tuple[SftStage, RlStage, RlStage]:
    sft, one, two = load(path, sets).recipe.stages
    assert isinstance(sft, SftStage)
    assert isinstance(one, RlStage)
    assert isinstance(two, RlStage)
    return sft, one, two


def test_stages_are_merged_over_defaults(write: Write) -> None:
    sft, one, two = stages(write("x.yaml", RECIPE))
    assert (sft.epochs, sft.learning_rate, one.learning_rate, two.learning_rate) == (2, 1e-5, 1e-6, 1e-6)
    assert (one.rollout.samples, two.rollout.samples, two.rollout.max_prompt_tokens) == (8, 4, 256)
    assert one.verl == {"actor_rollout_ref": {"rollout": {"enforce_eager": True}}}
    assert two.verl == {"actor_rollout_ref": {"rollout": {"enforce_eager": True, "max_num_seqs": 8}}}
    assert (one.rewards[0].name, one.rewards[0].options) == ("white_box", {})
    assert two.rewards[0].options == {"max_tests": 3}


def test_null_removes_a_default(write: Write) -> None:
    _, one, two = stages(write("x.yaml", RECIPE))
    assert (one.kl, two.kl is not None) == (None, True)
    assert (one.epochs, two.epochs, two.steps) == (3, None, 7)


def test_what_contradicts_without_the_stages_keys_is_no_mistake(write: Write) -> None:
    text = RECIPE.replace("sft: {epochs: 2,", "sft: {keep_best: true, validate_every: 2,").replace("mini: 4}", "mini: 16}")
    text = text.replace("    kind: sft\n", "    kind: sft\n    steps: 8\n    save_every: 2\n")
    text = text.replace("    kind: rl\n", "    kind: rl\n    batch: {prompts: 16}\n")
    sft, one, two = stages(write("x.yaml", text))
    assert (sft.steps, sft.keep_best, one.batch.mini, two.batch.prompts) == (8, True, 16, 16)
    assert problems(write("x.yaml", text.replace("    save_every: 2\n", ""))) == [
        "x.yaml:15: stages.sft: keep_best requires `save_every` and `validate_every`; set save_every"
    ]


def test_defaults_of_extended_recipes_merge(write: Write) -> None:
    write("base.yaml", RECIPE)
    text = """\
    extends: base.yaml
    defaults: {rl: {rollout: {temperature: 0.7}, kl: !remove }}
    stages: [{name: one, rollout: {top_p: 0.9}}]
    """
    _, one, two = stages(write("x.yaml", text))
    assert (one.rollout.temperature, two.rollout.temperature, one.rollout.samples) == (0.7, 0.7, 8)
    assert (one.rollout.top_p, two.rollout.top_p, two.kl) == (0.9, 1.0, None)


def test_set_changes_defaults(write: Write) -> None:
    _, one, two = stages(write("x.yaml", RECIPE), "defaults.rl.rollout.samples=16", "defaults.rl.rollout.gpu_memory=0.8")
    assert (one.rollout.samples, two.rollout.samples, two.rollout.gpu_memory) == (16, 4, 0.8)


def test_paths_are_relative_to_their_file(write: Write) -> None:
    write("shared/base.yaml", "defaults: {rl: {data: {validation: {converter: execverify_rl, source: ./held-out.json}}}}\n")
    recipe = load(
        write("x.yaml", "extends: [small.yaml, shared/base.yaml]\nstages: [{name: rl, data: {validation: !remove }}]\n")
    ).recipe
    validation = recipe.stages[1].data.validation.model_dump()  # type: ignore[union-attr]
    assert validation["source"] == str(Path.cwd() / "shared/held-out.json")


def test_origin_of_values(write: Write) -> None:
    loaded = load(write("x.yaml", RECIPE))
    assert loaded.where("stages", "one", "rollout", "samples") == "x.yaml:10"
    assert loaded.where("stages", "two", "rollout", "samples") == "x.yaml:28"


def test_resolved_recipe_has_no_defaults(write: Write) -> None:
    loaded = load(write("x.yaml", RECIPE))
    assert "defaults" not in loaded.text()
    assert load(write("resolved.yaml", loaded.text())).recipe == loaded.recipe


def test_invalid_keys(write: Write) -> None:
    text = "extends: small.yaml\ndefaults:\n  rl:\n    name: x\n    reward_: white_box\n    zzz: 1\n  sft: 3\n  lr: {}\n"
    keys = any_of(key for key in RlStage.model_fields if key not in ("name", "kind"))
    assert problems(write("x.yaml", text)) == [
        "x.yaml:4: defaults.rl.name: name is set in each stage, not in defaults",
        "x.yaml:5: defaults.rl.reward_: unknown key; did you mean 'reward'?",
        f"x.yaml:6: defaults.rl.zzz: unknown key; expected {keys}",
        "x.yaml:7: defaults.sft: found 3, expected a mapping of a stage's keys",
        "x.yaml:8: defaults.lr: unknown key; expected a kind of stages, sft or rl",
    ]
    assert problems(write("x.yaml", "extends: small.yaml\ndefaults: [a]\n")) == [
        "x.yaml:2: defaults: found a list, expected a mapping with sft or rl"
    ]


def test_mistakes_in_defaults_are_reported_once(write: Write) -> None:
    text = RECIPE.replace("enforce_eager: true", "enforce_eagr: true").replace("prompts: 8", "prompts: eight")
    text = text.replace("data/rl.json}", "data/rl.json, limit: 0}").replace("data/eurus}", "data/eurus, limit: 0}")
    assert problems(write("x.yaml", text)) == [
        "x.yaml:9: stages.one.batch.prompts: found the text 'eight', expected a whole number",
        "x.yaml:12: stages.one.verl.actor_rollout_ref.rollout.enforce_eagr: unknown key; did you mean 'enforce_eager'?",
        "x.yaml:20: stages.one.data.train.limit: found 0, expected at least 1",
        "x.yaml:25: stages.two.data.train.limit: found 0, expected at least 1",
    ]


def test_unset_variable_is_reported_once(write: Write) -> None:
    [line] = problems(write("x.yaml", RECIPE.replace("algorithm: grpo", "algorithm: ${env:NO_SUCH_VARIABLE}")))
    assert line.startswith("x.yaml:6: defaults.rl.algorithm: the environment variable NO_SUCH_VARIABLE is not set")
