"""`override_config` of verl's models is compared with the model's config.json, if it is on this machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.recipe.loading import load

from .conftest import Write, problems

CONFIG = {
    "num_attention_heads": 4,
    "rope_theta": 10000,
    "rms_norm_eps": 1e-6,
    "use_sliding_window": False,
    "hidden_act": "silu",
    "eos_token_id": [1, 2],
    "bos_token_id": 1,
    "sliding_window": None,
    "text_config": {"layers": 2},
}


@pytest.fixture
def given(tmp_path: Path) -> str:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").write_text(json.dumps(CONFIG))
    return f"model={tmp_path}/model"


def override(group: str, values: str) -> str:
    return f"stages.rl.verl.{group}.override_config={values}"


@pytest.mark.parametrize(
    ("values", "key", "expected"),
    [
        ("{rope_theta: big}", "rope_theta", "found the text 'big', expected a number: the model's config.json has 10000"),
        ("{rope_theta: true}", "rope_theta", "found true, expected a number"),
        ("{use_sliding_window: 1}", "use_sliding_window", "found 1, expected true or false"),
        ("{hidden_act: 5}", "hidden_act", "found 5, expected text: the model's config.json has the text 'silu'"),
        ("{rope_theta: {x: 1}}", "rope_theta", "found a mapping, expected a number"),
        ("{text_config: 3}", "text_config", "found 3, expected a mapping"),
        ("{text_config: {layers: two}}", "text_config.layers", "found the text 'two', expected a number"),
        ("{model_config: {rope_theta: big}}", "model_config.rope_theta", "found the text 'big'"),
    ],
)
def test_values_of_another_type(write: Write, given: str, values: str, key: str, expected: str) -> None:
    path = write("x.yaml", "extends: small.yaml")
    (line,) = problems(path, given, "stages.sft.template=null", override("actor_rollout_ref.model", values))
    assert expected in line
    assert line.startswith("--set stages.rl.verl.actor_rollout_ref.model.override_config") and key.split(".")[0] in line


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ("{rope_thetta: 5.0}", "the model's config.json has no such key; did you mean 'rope_theta'?"),
        ("{zzz: 1}", "the model's config.json has no such key"),
        ("{text_config: {layer: 3}}", "did you mean 'layers'?"),
    ],
)
def test_unknown_keys_are_warnings(write: Write, given: str, values: str, expected: str) -> None:
    path = write("x.yaml", "extends: small.yaml")
    (line,) = load(path, [given, "stages.sft.template=null", override("actor_rollout_ref.model", values)]).unusual()
    assert line.endswith(expected)


def test_right_values(write: Write, given: str) -> None:
    values = "{rope_theta: 5.0e+5, rms_norm_eps: 1, eos_token_id: 1, bos_token_id: [1], sliding_window: 4, hidden_act: null}"
    path = write("x.yaml", "extends: small.yaml")
    assert load(path, [given, "stages.sft.template=null", override("actor_rollout_ref.model", values)]).unusual() == []


def test_models_that_are_not_here_and_other_critics(write: Write, given: str) -> None:
    path, wrong = write("x.yaml", "extends: small.yaml"), "{rope_theta: big, anything: 1}"
    assert load(path, [override("actor_rollout_ref.model", wrong)]).unusual() == []
    critic = [given, "stages.sft.template=null", "stages.rl.algorithm=ppo", override("critic.model", wrong)]
    assert "found the text 'big'" in problems(path, *critic, "stages.rl.critic={}")[0]


def test_the_sft_trainer_of_verl(write: Write, given: str) -> None:
    sft = "extends: small.yaml\nstages:\n- {name: sft, trainer: verl, llamafactory: !remove }\n"
    path = write("x.yaml", sft)
    (line,) = problems(path, given, "stages.sft.verl.model.override_config={rope_theta: big}")
    assert "found the text 'big', expected a number" in line
