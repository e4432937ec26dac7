"""Allowed values and ranges of the keys under `verl:` and `llamafactory:`."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.recipe.loading import load
from pipelines.recipe.upstream_keys import check_keys, keys
from pipelines.recipe.upstream_limits import loads_plugins

from .conftest import Write, problems
from .test_upstream_keys import message, nested

_ROLLOUT = "actor_rollout_ref.rollout"
_ACTOR = "actor_rollout_ref.actor"

WRONG = [
    ("verl", "trainer.logger", ["wandbb"], "did you mean 'wandb'?"),
    ("verl", "trainer.logger", ["console", "tensorbord"], "did you mean 'tensorboard'?"),
    ("verl", "trainer.logger", "consol", "did you mean 'console'?"),
    ("verl", f"{_ROLLOUT}.name", "vlm", "did you mean 'vllm'?"),
    ("verl", f"{_ROLLOUT}.name", "hf", "expected vllm, sglang or trtllm"),
    ("verl", f"{_ROLLOUT}.mode", "asinc", "expected async"),
    ("verl", f"{_ROLLOUT}.mode", "sync", "expected async"),
    ("verl", f"{_ROLLOUT}.dtype", "bfloat15", "did you mean 'bfloat16'?"),
    ("verl", f"{_ROLLOUT}.dtype", "fp8", "expected auto, half"),
    ("verl", f"{_ROLLOUT}.load_format", "dumy", "did you mean 'dummy'?"),
    ("verl", f"{_ROLLOUT}.logprobs_mode", "raw_logprob", "did you mean 'raw_logprobs'?"),
    ("verl", f"{_ROLLOUT}.scheduling_policy", "lifo", "expected fcfs or priority"),
    ("verl", f"{_ROLLOUT}.quantization", "fp9", "did you mean 'fp8'?"),
    ("verl", f"{_ROLLOUT}.max_num_seqs", 0, "expected at least 1"),
    ("verl", f"{_ROLLOUT}.max_num_batched_tokens", -5, "expected at least 1"),
    ("verl", f"{_ROLLOUT}.top_k", -2, "expected at least -1"),
    ("verl", f"{_ROLLOUT}.val_kwargs.top_p", 1.5, "expected more than 0 and at most 1"),
    ("verl", f"{_ROLLOUT}.repetition_penalty", 0, "expected more than 0"),
    ("verl", f"{_ROLLOUT}.agent.default_agent_loop", "tool_agnt", "did you mean 'tool_agent'?"),
    ("verl", f"{_ROLLOUT}.multi_turn.tool_response_truncate_side", "centre", "expected left, right or middle"),
    ("verl", f"{_ROLLOUT}.multi_turn.tokenization_sanity_check_mode", "strickt", "did you mean 'strict'?"),
    ("verl", f"{_ROLLOUT}.trace.backend", "weav", "did you mean 'weave'?"),
    ("verl", f"{_ROLLOUT}.trace.max_samples_per_step_per_worker", -1, "expected at least 0"),
    ("verl", f"{_ROLLOUT}.checkpoint_engine.backend", "ncl", "did you mean 'nccl'?"),
    ("verl", f"{_ROLLOUT}.disaggregation.transfer_backend", "nix", "did you mean 'nixl'?"),
    ("verl", f"{_ACTOR}.strategy", "fsdp3", "did you mean 'fsdp'?"),
    ("verl", f"{_ACTOR}.fsdp_config.strategy", "fsdp3", "did you mean 'fsdp'?"),
    ("verl", "critic.strategy", "deepspeed", "expected automodel, fsdp_turbo, fsdp"),
    ("verl", f"{_ACTOR}.policy_loss.loss_mode", "vanila", "did you mean 'vanilla'?"),
    ("verl", f"{_ACTOR}.loss_agg_mode", "seq-mean-token-avg", "did you mean 'seq-mean-token-mean'?"),
    ("verl", "critic.loss_agg_mode", "token-men", "did you mean 'token-mean'?"),
    ("verl", f"{_ACTOR}.optim.optimizer", "AdamWW", "did you mean 'AdamW'?"),
    ("verl", f"{_ACTOR}.optim.lr_scheduler_type", "cosin", "expected constant or cosine"),
    ("verl", f"{_ACTOR}.optim.weight_decay", -0.1, "expected at least 0"),
    ("verl", f"{_ACTOR}.optim.betas", [0.9, 1.5], "found 1.5, expected at least 0 and less than 1"),
    ("verl", f"{_ACTOR}.optim.lr_warmup_steps_ratio", 2, "expected at least 0 and at most 1"),
    ("verl", f"{_ACTOR}.clip_ratio_c", 0.5, "expected more than 1"),
    ("verl", f"{_ACTOR}.fsdp_config.model_dtype", "bf15", "did you mean 'bf16'?"),
    ("verl", f"{_ACTOR}.checkpoint.save_contents", ["model", "optimiser"], "did you mean 'optimizer'?"),
    ("verl", "reward.reward_manager.name", "dappo", "did you mean 'dapo'?"),
    ("verl", "reward.reward_manager.source", "registry", "did you mean 'register'?"),
    ("verl", "data.truncation", "centre", "expected left, right, middle or error"),
    ("verl", "trainer.v1.trainer_mode", "asnyc", "colocate_async, separate_async or sync"),
    ("verl", "algorithm.pf_ppo.reweight_method", "power", "did you mean 'pow'?"),
    ("verl", "algorithm.kl_ctrl.type", "adaptiv", "did you mean 'adaptive'?"),
    ("verl", "algorithm.rollout_correction.rollout_is", "tokens", "did you mean 'token'?"),
    ("verl", "algorithm.rollout_correction.rollout_rs", "token_k1,seq_men_k3", "found 'seq_men_k3'"),
    ("verl", "global_profiler.tool", "nsight", "expected npu, nsys, torch"),
    ("verl", "skip.rollout.action", "replay", "expected cache or repeat"),
    ("verl", "actor_rollout_ref.model.fused_kernel_options.impl_backend", "tritn", "did you mean 'triton'?"),
    ("verl", "actor_rollout_ref.model.override_config", {"attn_implementation": "spda"}, "did you mean 'sdpa'?"),
    ("verl", "transfer_queue.backend.storage_backend", "Simple", "did you mean 'SimpleStorage'?"),
    ("verl_sft", "trainer.logger", "wandbb", "did you mean 'wandb'?"),
    ("verl_sft", "engine.strategy", "fsdp3", "did you mean 'fsdp'?"),
    ("verl_sft", "engine.model_dtype", "float15", "did you mean 'float16'?"),
    ("verl_sft", "optim.optimizer", "Adamm", "did you mean 'Adam'?"),
    ("verl_sft", "optim.lr_scheduler_type", "linear", "expected constant or cosine"),
    ("verl_sft", "optim.weight_decay", -1, "expected at least 0"),
    ("verl_sft", "profiler.tool", "tensorbord", "expected npu, nsys, torch"),
    ("llamafactory", "report_to", "wandbb", "did you mean 'wandb'?"),
    ("llamafactory", "report_to", ["mlflow", "tensorbord"], "did you mean 'tensorboard'?"),
    ("llamafactory", "warmup_ratio", 2, "expected at least 0 and less than 1"),
    ("llamafactory", "warmup_steps", -1, "expected at least 0"),
    ("llamafactory", "weight_decay", -0.01, "expected at least 0"),
    ("llamafactory", "adam_beta2", 1, "expected at least 0 and less than 1"),
    ("llamafactory", "adam_epsilon", -1e-8, "expected at least 0"),
    ("llamafactory", "lora_dropout", 1.1, "expected at least 0 and at most 1"),
    ("llamafactory", "logging_steps", 0, "expected more than 0"),
    ("llamafactory", "quantization_bit", 5, "expected 8 or 4"),
    ("llamafactory", "flash_attn", "fa4", "did you mean 'fa3'?"),
    ("llamafactory", "tool_format", "quen", "did you mean 'qwen'?"),
    ("llamafactory", "ddp_backend", "ncl", "did you mean 'nccl'?"),
    ("llamafactory", "fsdp", "full_shard autowrap", "did you mean 'auto_wrap'?"),
    ("llamafactory", "debug", "underflow", "did you mean 'underflow_overflow'?"),
    ("llamafactory", "log_level", "verbose", "expected detail, debug, info"),
    ("llamafactory", "train_sampling_strategy", "shuffled", "expected random, sequential or group_by_length"),
    ("llamafactory", "fp8_backend", "torchoa", "did you mean 'torchao'?"),
    ("llamafactory", "torch_empty_cache_steps", 0, "expected more than 0"),
]


@pytest.mark.parametrize(("upstream", "key", "value", "expected"), WRONG, ids=lambda value: str(value)[:40])
def test_values_that_an_upstream_refuses(upstream: str, key: str, value: Any, expected: str) -> None:
    text = message(upstream, key, value)
    assert text is not None
    assert text.startswith("found ")
    assert expected in text


@pytest.mark.parametrize(
    ("upstream", "key", "value"),
    [
        ("verl", "trainer.logger", ["console", "${oc.env:LOGGER}"]),
        ("verl", f"{_ROLLOUT}.dtype", "${actor_rollout_ref.actor.fsdp_config.dtype}"),
        ("verl", "trainer.logger", []),
        ("verl", f"{_ROLLOUT}.quantization", None),
        ("verl", f"{_ROLLOUT}.top_k", -1),
        ("verl", f"{_ACTOR}.optim.betas", [0.9, 0.95]),
        ("verl", "algorithm.rollout_correction.rollout_rs", "token_k1, seq_mean_k3"),
        ("verl", f"{_ACTOR}.qat.mode", "W4A16"),
        ("verl", "actor_rollout_ref.model.override_config", {"attn_implementation": "kernels-community/flash-attn3"}),
        ("verl", "actor_rollout_ref.model.override_config", {"attn_implementation": "eager", "max_position_embeddings": 9}),
        ("llamafactory", "report_to", "all"),
        ("llamafactory", "report_to", ["wandb", "tensorboard"]),
        ("llamafactory", "fsdp", "full_shard auto_wrap"),
        ("llamafactory", "debug", ""),
        ("llamafactory", "include_num_input_tokens_seen", True),
        ("llamafactory", "warmup_steps", 0.1),
        ("llamafactory", "torch_compile_backend", "Inductor"),
        ("llamafactory", "lr_scheduler_kwargs", {}),
        ("llamafactory", "lr_scheduler_kwargs", "{}"),
        ("llamafactory", "accelerator_config", {"split_batches": True, "dispatch_batches": None}),
        ("llamafactory", "accelerator_config", '{"even_batches": false}'),
        ("llamafactory", "accelerator_config", "/etc/accelerator.json"),
        ("verl", "actor_rollout_ref.model.external_lib", "mine.models"),
        ("verl", "actor_rollout_ref.model.external_lib", ["mine.models", "mine.losses"]),
        ("verl", "data.gen_batch_size", 4),
    ],
)
def test_values_that_an_upstream_accepts(upstream: str, key: str, value: Any) -> None:
    assert message(upstream, key, value) is None


@pytest.mark.parametrize(
    ("upstream", "key", "value", "others"),
    [
        ("verl", "dtype", "bfloat17", {"name": "sglang"}),
        ("verl", "load_format", "flash_rl", {"name": "sglang"}),
    ],
)
def test_limits_of_vllm_are_not_those_of_other_engines(upstream: str, key: str, value: str, others: dict[str, str]) -> None:
    settings = nested(_ROLLOUT, {**others, key: value})
    assert list(check_keys(upstream, settings)) == []


@pytest.mark.parametrize(
    ("key", "value", "others"),
    [
        ("optim.optimizer", "AdamW8bit", {"optim.optimizer_impl": "bitsandbytes.optim"}),
        ("optim.optimizer", "AdamW", {"optim.optimizer_impl": "torch.optim"}),
    ],
)
def test_optimizers_of_other_packages(key: str, value: str, others: dict[str, str]) -> None:
    settings = {"optim": {name.rpartition(".")[2]: given for name, given in {**others, key: value}.items()}}
    assert list(check_keys("verl_sft", settings)) == []


def test_a_reward_manager_of_ones_own() -> None:
    manager = {"source": "importlib", "name": "MyManager", "module": {"path": "/home/me/my.py"}}
    assert list(check_keys("verl", {"reward": {"reward_manager": manager}})) == []
    assert message("verl", "reward.reward_manager.name", "MyManager") is not None


@pytest.mark.parametrize("bits", [1, 3, 5])
def test_bits_of_a_quantization_method(bits: int) -> None:
    assert message("llamafactory", "quantization_bit", bits, quantization_method="hqq") is None
    assert message("llamafactory", "quantization_bit", bits, quantization_method="bnb") is not None
    assert message("llamafactory", "quantization_bit", bits, quantization_method="eetq") is not None


@pytest.mark.parametrize(
    ("schedule", "valid", "wrong"),
    [
        ("cosine_with_min_lr", {"min_lr": 1e-7, "num_cycles": 1}, {"power": 2}),
        ("polynomial", {"power": 2, "lr_end": 0}, {"min_lr": 0}),
        ("warmup_stable_decay", {"num_decay_steps": 9}, {"num_decay": 9}),
        ("constant", {}, {"power": 2}),
        ("reduce_lr_on_plateau", {"factor": 0.1, "anything": 1}, None),
    ],
)
def test_arguments_of_a_learning_rate_schedule(schedule: str, valid: dict[str, float], wrong: dict[str, float] | None) -> None:
    assert message("llamafactory", "lr_scheduler_kwargs", valid, lr_scheduler_type=schedule) is None
    if wrong is not None:
        text = message("llamafactory", "lr_scheduler_kwargs", wrong, lr_scheduler_type=schedule) or ""
        assert text.startswith(f"unknown key '{next(iter(wrong))}' for lr_scheduler_type {schedule}")


def test_backends_of_another_environment(write: Write) -> None:
    given = "stages.sft.llamafactory.torch_compile_backend=mine"
    path = write("x.yaml", "extends: small.yaml")
    assert "found 'mine', expected no, eager" in problems(path, given)[0]
    load(path, [given, "environments={llamafactory: /opt/bin/python}"])


def test_two_settings_that_exclude_each_other() -> None:
    found = list(check_keys("llamafactory", {"bf16": True, "fp16": True}))
    assert found == [(("fp16",), "only one of fp16 and bf16 may be true")]
    assert list(check_keys("llamafactory", {"bf16": False, "fp16": True})) == []


def test_names_that_plugins_register(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VERL_USE_EXTERNAL_MODULES", "VLLM_PLUGINS", "PIPELINE_VERL_PYTHON"):
        monkeypatch.delenv(name, raising=False)
    key = f"{_ACTOR}.policy_loss.loss_mode"
    given = f"stages.rl.verl.{key}=mine"
    path = write("x.yaml", "extends: small.yaml")
    assert "expected vanilla" in problems(path, given)[0]
    load(path, [given, "stages.rl.verl.actor_rollout_ref.model.external_lib=my_losses"])
    load(path, [given, "environments={verl: /opt/verl/bin/python}"])
    monkeypatch.setenv("VERL_USE_EXTERNAL_MODULES", "my_losses")
    load(path, [given])
    # Values that code compares with literals are not registered.
    assert problems(path, f"stages.rl.verl.{_ACTOR}.loss_agg_mode=mine")


def test_plugins_of_the_run_are_found() -> None:
    variables = {"ray_kwargs": {"ray_init": {"runtime_env": {"env_vars": {"VERL_USE_EXTERNAL_MODULES": "mine"}}}}}
    assert loads_plugins(variables)
    assert loads_plugins({"model": {"external_lib": "mine"}})


@pytest.mark.parametrize("upstream", ["verl", "verl_sft", "llamafactory"])
def test_a_misspelled_value_of_every_limited_text_is_refused(upstream: str) -> None:
    tried = 0
    for key, entry in keys(upstream).items():
        texts = [each for each in entry.get("enum", ()) if isinstance(each, str) and len(each) > 2]
        engines = entry.get("engines", ["dp"])
        if not texts or engines[0] != "dp" or "string" not in entry["type"]:
            continue
        wrong = f"{texts[0]}x"
        if wrong not in texts and (text := message(upstream, key, wrong)) and "set by the" not in text:
            assert text.startswith(f"found {wrong!r}, expected "), key
            tried += 1
    assert tried > 10
