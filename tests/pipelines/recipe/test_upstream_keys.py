"""Validation of the keys under `verl:` and `llamafactory:`."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.recipe.loading import load
from pipelines.recipe.reserved_keys import RESERVED
from pipelines.recipe.schema import Recipe, RlStage, SftStage
from pipelines.recipe.upstream_keys import check_keys, groups, keys

from .conftest import Write


def nested(key: str, value: Any) -> dict[str, Any]:
    first, _, rest = key.partition(".")
    return {first: nested(rest, value) if rest else value}


def message(upstream: str, key: str, value: Any, **more: Any) -> str | None:
    found = [text for _, text in check_keys(upstream, {**more, **nested(key, value)})]
    assert len(found) < 2
    return found[0] if found else None


@pytest.mark.parametrize("upstream", ["verl", "verl_sft", "llamafactory"])
def test_every_key_accepts_its_default(upstream: str) -> None:
    tried = 0
    for key, entry in keys(upstream).items():
        if "default" in entry and key not in RESERVED[upstream] and key != "model_engine":
            engine = entry.get("engines", ["dp"])[0]
            more = {"model_engine": engine} if upstream == "verl" else {}
            assert message(upstream, key, entry["default"], **more) is None, key
            tried += 1
    assert tried > 100


@pytest.mark.parametrize("upstream", ["verl", "verl_sft", "llamafactory"])
def test_misspelled_keys_get_a_suggestion(upstream: str) -> None:
    known = set(keys(upstream)) | groups(upstream)
    tried = 0
    for key in keys(upstream):
        wrong = key[:-1]
        last = wrong.rpartition(".")[2]
        if len(last) < 4 or wrong in known or key in RESERVED[upstream]:
            continue
        text = message(upstream, wrong, 1)
        assert text is not None, wrong
        assert text.startswith("unknown key; did you mean "), wrong
        tried += 1
    assert tried > 100


@pytest.mark.parametrize("upstream", ["verl", "verl_sft", "llamafactory"])
def test_reserved_keys_exist_upstream_and_name_a_field(upstream: str) -> None:
    fields = {f"`{name}" for name in [*Recipe.model_fields, *RlStage.model_fields, *SftStage.model_fields]}
    for key, text in RESERVED[upstream].items():
        assert key in keys(upstream), key
        if "use that instead" in text:
            said = text.split("`")[1]
            assert f"`{said.partition('.')[0]}" in fields, text


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("actor_rollout_ref.rollout.engine_kwargs.vllm.anything", {"a.b": 1}),
        ("actor_rollout_ref.model.override_config.attn_implementation", "sdpa"),
        ("actor_rollout_ref.rollout.enable_sleep_mode", False),  # only in the dataclass
        ("ray_kwargs.ray_init.num_gpus", 1),
        ("reward.reward_kwargs", {"overlong_buffer_cfg": {"enable": True}}),  # only read in code
        ("trainer.logger", "console"),
        ("trainer.logger", ["console", "wandb"]),
        ("actor_rollout_ref.actor.optim.betas", [0.9, 0.95]),
        ("actor_rollout_ref.actor.entropy_coeff", 0),
        ("actor_rollout_ref.rollout.max_model_len", None),
        ("data.trust_remote_code", "${actor_rollout_ref.model.trust_remote_code}"),
    ],
)
def test_valid_verl_keys(key: str, value: Any) -> None:
    assert message("verl", key, value) is None


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("actor_rollout_ref.rollout", 3, "found 3, expected a mapping of keys"),
        ("actor_rollout_ref.rollout.max_num_seqs", 8.5, "found 8.5, expected a whole number (the default is 256)"),
        ("actor_rollout_ref.rollout.enforce_eager", 1, "found 1, expected true or false (the default is false)"),
        ("actor_rollout_ref.actor.optim._target_", "os.system", "unknown key"),
        ("algorithm.norm_adv", 1, "unknown key; did you mean 'norm_adv_by_std_in_grpo'?"),
        ("model_engine", "megatorn", "found 'megatorn', expected dp, megatron, torchtitan or veomni; did you mean 'megatron'?"),
        ("optim.lr", 1, "unknown key; did you mean 'critic.optim'?"),
    ],
)
def test_invalid_verl_keys(key: str, value: Any, expected: str) -> None:
    text = message("verl", key, value)
    assert text is not None
    assert text.startswith(expected)


def test_keys_of_another_engine() -> None:
    key = "actor_rollout_ref.actor.megatron.tensor_model_parallel_size"
    assert message("verl", key, 2) == "only valid with model_engine megatron; this stage uses dp"
    assert message("verl", key, 2, model_engine="megatron") is None


def test_nested_and_dotted_keys_merge(write: Write) -> None:
    text = """\
    extends: small.yaml
    stages:
      - name: rl
        verl:
          data.shuffle: false
          actor_rollout_ref.actor: {fsdp_config.param_offload: true, optim: {weight_decay: 0.1}}
          actor_rollout_ref:
            actor.fsdp_config: {optimizer_offload: true}
            rollout: {engine_kwargs.vllm: {a.b: 1}, name: vllm}
    """
    rl = load(write("x.yaml", text)).recipe.stages[1]
    assert isinstance(rl, RlStage)
    assert rl.verl == {
        "actor_rollout_ref": {
            "rollout": {"enforce_eager": True, "engine_kwargs": {"vllm": {"a.b": 1}}, "name": "vllm"},
            "actor": {"fsdp_config": {"param_offload": True, "optimizer_offload": True}, "optim": {"weight_decay": 0.1}},
        },
        "data": {"shuffle": False},
    }
