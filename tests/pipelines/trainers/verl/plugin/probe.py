"""Run in verl's environment by test_overrides.py, with or without the plugin; prints one JSON line per attempt.

`python probe.py FOLDER`, with an empty, writable FOLDER.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

FOLDER = Path(sys.argv[1])


def attempt(name: str, action: Callable[[], Any]) -> None:
    """Print the outcome: a value, or the first line of an error."""
    try:
        outcome = {"value": action()}
    except Exception as error:
        outcome = {"error": f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"}
    print(json.dumps({"name": name, **outcome}), flush=True)


def platform() -> Any:
    from verl.plugin.platform import get_platform

    return get_platform().device_name


def process_group() -> Any:
    import torch.distributed
    from verl.utils.distributed import initialize_global_process_group_ray

    os.environ["DIST_INIT_METHOD"] = f"file://{FOLDER}/rendezvous"
    initialize_global_process_group_ray()
    return torch.distributed.get_backend()


def engines() -> Any:
    from verl.workers.engine import EngineRegistry

    return [EngineRegistry.get_engine_cls(kind, "fsdp2").__name__ for kind in ("language_model", "value_model")]


def critic() -> Any:
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM
    from verl.utils import model

    config = Qwen2Config(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=1,
        num_key_value_heads=1,
        attn_implementation="sdpa",
        num_labels=1,
    )
    Qwen2ForCausalLM(config).save_pretrained(FOLDER / "model")
    loaded = model.load_valuehead_model(str(FOLDER / "model"), torch.float32, config, False)
    return loaded.config._attn_implementation


def reference() -> Any:
    """Build a forward-only model as the engine does, with FSDP2 and offloaded parameters, and run it."""
    import torch
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from verl.workers.engine.fsdp import transformer_impl

    layer = torch.nn.Linear(4, 4)
    fully_shard(
        layer,
        mesh=init_device_mesh("cpu", (1,)),
        offload_policy=transformer_impl.CPUOffloadPolicy(pin_memory=True),
    )
    return list(layer(torch.ones(1, 4)).shape)


def reference_is_pinned() -> Any:
    import inspect

    from verl.workers.engine.fsdp.transformer_impl import FSDPEngine

    return "CPUOffloadPolicy(pin_memory=True)" in inspect.getsource(FSDPEngine._build_fsdp_module)


def weights_stay_loadable() -> Any:
    """Return whether a linear layer keeps its weight after vLLM has prepared it."""
    import torch
    from vllm.model_executor.layers.utils import dispatch_cpu_unquantized_gemm

    if os.environ.get("VERL_USE_EXTERNAL_MODULES"):
        from pipelines.trainers.verl.plugin import overrides

        overrides.disable_onednn()
    layer = torch.nn.Linear(64, 64)
    dispatch_cpu_unquantized_gemm(layer, remove_weight=True)
    return layer.weight.numel() > 0


def weight_socket() -> Any:
    from verl.workers.rollout.vllm_rollout.bucketed_weight_transfer import BucketedWeightReceiver, BucketedWeightSender

    name = "ipc:///tmp/rl-colocate-zmq-01000000-replica-0-rank-0.sock"
    ends = [BucketedWeightSender(name), BucketedWeightReceiver(name, None)]
    return [end.zmq_handle for end in ends]


def weight_socket_is_in_tmp() -> Any:
    import inspect

    from verl.workers.rollout.vllm_rollout import vllm_rollout
    from verl.workers.rollout.vllm_rollout.utils import vLLMColocateWorkerExtension

    name = "ipc:///tmp/rl-colocate-zmq-{job_id}"
    sources = (inspect.getsource(vllm_rollout), inspect.getsource(vLLMColocateWorkerExtension._get_zmq_handle))
    return all(name in source for source in sources)


def rows_keep_their_order() -> Any:
    """Return the keys of a step from the replay buffer; their responses came in another order than the prompts."""
    import transfer_queue
    from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

    kind = ReplayBuffer
    if os.environ.get("VERL_USE_EXTERNAL_MODULES"):
        from pipelines.trainers.verl.plugin.replay_buffer import OrderedReplayBuffer

        kind = OrderedReplayBuffer
    transfer_queue.kv_clear = lambda **_: None
    buffer = kind.__new__(kind)
    buffer.prompt_global_steps = {"train": {"second": 1, "first": 1}}
    responses: dict[str, Any] = {key: {} for key in ("first_1_0", "second_10_0", "second_9_0", "first_0_0")}
    return buffer._materialize_batch("train", ["first", "second"], responses).keys


def tool_calls_are_logged() -> Any:
    """Return whether the function that computes a step's metrics, or one that it wraps, mentions tools."""
    import inspect

    from verl.trainer.ppo.v1.trainer_base import PPOTrainer

    functions = [PPOTrainer._compute_metrics]
    for each in functions:
        functions += [value for value in inspect.getclosurevars(each).nonlocals.values() if inspect.isfunction(value)]
    return any("tool" in inspect.getsource(each) for each in functions)


def remax_is_answered_greedily() -> Any:
    """Return the number of responses to a prompt of a ReMax training, and which one is greedy."""
    from types import SimpleNamespace

    import torch
    from omegaconf import OmegaConf
    from tensordict import TensorDict
    from verl.trainer.ppo.v1 import trainer_base

    config = {"algorithm": {"adv_estimator": "remax"}, "actor_rollout_ref": {"rollout": {"n": 3}}}
    submitted: list[Any] = []
    trainer = SimpleNamespace(
        config=OmegaConf.create(config),
        global_steps=1,
        trainer_mode="sync",
        agent_loop_manager=SimpleNamespace(generate_sequences=submitted.append),
    )
    trainer_base.tq = SimpleNamespace(kv_batch_put=lambda **_: None)
    trainer_base.PPOTrainer._submit_batch_to_rollout(trainer, TensorDict({"uid": torch.zeros(2)}, batch_size=2))
    return {key: submitted[0][key] for key in ("__rollout_n__", "greedy_session") if key in submitted[0]}


def remax_has_baselines() -> Any:
    """Return the advantages with baselines 0.25, 0.25 and 1: the trainer's and the estimator's."""
    from types import SimpleNamespace

    import numpy as np
    import torch
    from tensordict import TensorDict
    from verl import DataProto
    from verl.trainer.ppo import core_algos
    from verl.trainer.ppo.v1 import trainer_base

    mask = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 1.0], [1.0, 0.0, 0.0]])
    rewards = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0], [0.5, 0.0, 0.0]])
    baselines = torch.tensor([0.25, 0.25, 1.0])
    trainer_base.tq = SimpleNamespace(kv_batch_get=lambda **_: {"reward_baselines": baselines})
    data = DataProto(
        TensorDict({"token_level_rewards": rewards, "response_mask": mask}, batch_size=3),
        {"uid": np.array(["a", "a", "b"], dtype=object)},
    )
    done = trainer_base.compute_advantage_for_multi_trajectories(
        data, batch_keys=["a_0_0", "a_1_0", "b_0_0"], adv_estimator="remax", gamma=1.0, lam=1.0, num_repeat=2, config={}
    )
    expected, _ = core_algos.compute_remax_outcome_advantage(rewards, baselines, mask)
    return [done.batch["advantages"].tolist(), expected.tolist()]


def gdpo_has_each_reward() -> Any:
    """Return the advantages of two prompts' responses with two rewards: the trainer's, and computed by hand."""
    from types import SimpleNamespace

    import numpy as np
    import torch
    from omegaconf import OmegaConf
    from tensordict import TensorDict
    from verl import DataProto
    from verl.trainer.ppo.core_algos import compute_grpo_outcome_advantage
    from verl.trainer.ppo.v1 import trainer_base
    from verl.utils.torch_functional import masked_whiten

    mask = torch.tensor([[1.0, 1.0], [1.0, 0.0], [1.0, 1.0], [1.0, 1.0]])
    index = np.array(["a", "a", "b", "b"], dtype=object)
    scores = {"right_score": [1.0, 0.0, 0.0, 0.0], "brief_score": [0.1, 0.4, 0.3, 0.2]}
    extra = np.array([{"reward_extra_info": {key: scores[key][row] for key in scores}} for row in range(4)], dtype=object)
    trainer_base.tq = SimpleNamespace(kv_batch_get=lambda **_: {"extra_fields": extra})
    data = DataProto(TensorDict({"token_level_rewards": mask, "response_mask": mask}, batch_size=4), {"uid": index})
    config = OmegaConf.create({"gdpo_reward_keys": list(scores), "gdpo_reward_weights": [1.0, 0.5]})
    done = trainer_base.compute_advantage_for_multi_trajectories(
        data, batch_keys=["a_0_0", "a_1_0", "b_0_0", "b_1_0"], adv_estimator="gdpo", config=config
    )
    each = [
        compute_grpo_outcome_advantage(torch.tensor(values)[:, None] * torch.tensor([[1.0, 0.0]]), mask, index)[0]
        for values in scores.values()
    ]
    expected = masked_whiten(each[0] + 0.5 * each[1], mask) * mask
    return [done.batch["advantages"].tolist(), expected.tolist()]


def validation_is_saved() -> Any:
    """Return the metric of a validation of two rows, and the files that it left."""
    from types import SimpleNamespace

    from omegaconf import OmegaConf
    from verl.trainer.ppo.v1.trainer_base import PPOTrainer

    trainer: Any = SimpleNamespace(config=OmegaConf.create({"trainer": {"log_val_generations": 0}}), global_steps=7)
    values = {"reward": [1.5, 0.5], "accuracy": [1.0, 0.0]}
    PPOTrainer._maybe_log_val_generations(trainer, inputs=["one", "two"], outputs=["x", "y"], scores=values["reward"])
    logged = PPOTrainer._val_metrics_update(trainer, ["apps", "apps"], ["u1", "u2"], values, [], expected_acc_counts={})
    files = {path.name: json.loads(path.read_text()) for path in (FOLDER.parent / "validations").glob("*")}
    return [logged["val-aux/apps/accuracy/mean@1"], files]


def reasons_are_passed_on() -> Any:
    """Return what verl logs of a reward's result, and what it only stores, on the way through both of its processes."""
    import asyncio
    from types import SimpleNamespace

    import torch
    from omegaconf import OmegaConf
    from verl.experimental.agent_loop.agent_loop import AgentLoopMetrics, AgentLoopOutput, AgentLoopWorker
    from verl.experimental.reward_loop.reward_loop import RewardLoopWorker

    from rewards.reasons import explain

    async def run_single(data: Any) -> Any:
        explain("test {}: expected {}, got {}", 3, "4", "5")
        return {"reward_score": 0.5, "reward_extra_info": {"score": 0.5, "accuracy": 0.0}}

    config = {
        "pipeline": {"samples": {"folder": str(FOLDER / "samples"), "responses": 4}},
        "reward": {"reward_model": {"enable": False}, "custom_reward_function": {"path": "pkg://rewards.entry"}},
    }
    rewarding: Any = SimpleNamespace(config=OmegaConf.create(config), reward_manager=SimpleNamespace(run_single=run_single))
    remote = SimpleNamespace(remote=lambda data: RewardLoopWorker.compute_score(rewarding, data))
    generating: Any = SimpleNamespace(
        reward_loop_worker_handles=[SimpleNamespace(compute_score=remote)],
        _compute_multi_modal_inputs=lambda *_: {},
        _compute_position_ids=lambda ids, *_: torch.zeros_like(ids),
        _get_mm_processor_kwargs=lambda _: None,
    )
    output = AgentLoopOutput(prompt_ids=[1], response_ids=[2], response_mask=[1], metrics=AgentLoopMetrics(), extra_fields={})
    asyncio.run(AgentLoopWorker._compute_score(generating, [output], {"data_source": "apps"}))
    return [output.extra_fields.pop("reward_extra_info"), output.extra_fields]


def validation_leaves_samples() -> Any:
    """Return the metrics of a validation of three rows with two responses each, and the samples that it left."""
    from types import SimpleNamespace

    import numpy as np
    import torch
    from omegaconf import OmegaConf
    from verl.trainer.ppo.v1 import trainer_base
    from verl.utils.tensordict_utils import list_of_dict_to_tensordict

    stored: dict[str, dict[str, Any]] = {}

    def generate(batch: Any) -> None:
        for place, uid in enumerate(batch["uid"]):
            for session in range(2):
                stored[f"{uid}_{session}_0"] = {
                    "uid": uid,
                    "prompts": torch.tensor([place + 1] * (place + 1)),
                    "responses": torch.tensor([5] * (session + 1)),
                    "response_mask": torch.ones(session + 1, dtype=torch.int64),
                    "rm_scores": torch.tensor([0.0] * session + [0.1]),
                    "num_turns": 2,
                    "reward_model": {"ground_truth": "{}", "style": "rule"},
                    "data_source": "apps",
                    "extra_info": {"index": place},
                    "extra_fields": {"reward_extra_info": {"accuracy": 1.0}, "pipeline_reasons": "passes"},
                }

    def get(keys: list[str], partition_id: str, select_fields: list[str]) -> Any:
        return list_of_dict_to_tensordict([{name: stored[key][name] for name in select_fields} for key in keys])

    def clear(keys: list[str], partition_id: str) -> None:
        for key in keys:
            del stored[key]

    def sample(**_: Any) -> Any:
        return SimpleNamespace(keys=list(stored), partition_id="val"), {}

    trainer_base.tq = SimpleNamespace(kv_batch_put=lambda **_: None, kv_batch_get=get, kv_clear=clear)
    config = {
        "pipeline": {"samples": {"folder": str(FOLDER / "samples"), "responses": 4}},
        "actor_rollout_ref": {"rollout": {"response_length": 2, "val_kwargs": {"n": 2}}},
        "trainer": {},
    }
    rows = {"raw_prompt": np.array(["a", "b", "c"], dtype=object), "data_source": np.array(["apps"] * 3, dtype=object)}
    trainer: Any = SimpleNamespace(
        config=OmegaConf.create(config),
        global_steps=7,
        val_dataloader=[rows],
        agent_loop_manager=SimpleNamespace(generate_sequences=generate),
        replay_buffer=SimpleNamespace(sample=sample),
        reward_loop_manager=SimpleNamespace(reward_loop_worker_handles=[]),
        tokenizer=SimpleNamespace(
            pad_token_id=0, decode=lambda ids, **_: " ".join(str(int(each)) for each in ids if int(each))
        ),
        _maybe_log_val_generations=lambda **_: None,
        _val_metrics_update=lambda sources, uids, values, turns, **_: dict(values),
    )
    logged = trainer_base.PPOTrainer._validate(trainer)
    lines = [json.loads(line) for path in FOLDER.glob("samples/validation/7.jsonl") for line in path.open()]
    return [sorted(logged), len(stored), lines]


def metrics_file_is_truncated() -> Any:
    from verl.utils.tracking import FileLogger

    path = FOLDER / "metrics.jsonl"
    path.write_text("an earlier attempt\n", encoding="utf-8")
    os.environ["VERL_FILE_LOGGER_PATH"] = str(path)
    FileLogger("project", "experiment").finish()
    return path.read_text(encoding="utf-8") == ""


def samples_share_a_seed() -> Any:
    """Return whether verl's `full_determinism` gives all samples of a prompt one seed."""
    import inspect

    from verl.workers.rollout.vllm_rollout.vllm_async_server import vLLMHttpServer

    line = 'sampling_params.setdefault("seed", self.replica_rank + self.config.seed)'
    return line in inspect.getsource(vLLMHttpServer.generate)


def legacy_checkpoints_are_marked() -> Any:
    """Return the files of a checkpoint of a class that derives from the legacy trainer and saves its own way."""
    from hydra import compose, initialize_config_module
    from verl.trainer.ppo.ray_trainer import RayPPOTrainer
    from verl.trainer.ppo.utils import Role

    class Trainer(RayPPOTrainer):  # type: ignore[misc]
        def _save_checkpoint(self) -> None:
            (Path(self.config.trainer.default_local_dir) / f"global_step_{self.global_steps}" / "actor").mkdir(parents=True)

    callback = "pipelines.trainers.verl.plugin.checkpoint.KeepNewest"
    settings = [f"trainer.checkpoint_callback_class={callback}", f"trainer.default_local_dir={FOLDER / 'legacy'}"]
    settings += ["+pipeline.keep_checkpoints=1", "data.train_batch_size=2", "data.dataloader_num_workers=0"]
    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose("ppo_trainer", settings)
    rows = [{"number": number} for number in range(4)]
    roles = {Role.ActorRollout: None}
    trainer = Trainer(config, None, roles, None, train_dataset=rows, val_dataset=rows, collate_fn=list, train_sampler=None)
    for trainer.global_steps in (1, 2):
        trainer._save_checkpoint()
    return sorted(str(path.relative_to(FOLDER / "legacy")) for path in (FOLDER / "legacy").rglob("*"))


def end_of_epoch_is_resumed() -> Any:
    """Return whether the second epoch has the same order after resuming at the end of the first."""
    import torch
    from torchdata.stateful_dataloader import StatefulDataLoader  # type: ignore[import-not-found]
    from verl.trainer.ppo.utils import create_rl_sampler
    from verl.trainer.ppo.v1.trainer_base import PPOTrainer

    class Data:
        shuffle = True

        @staticmethod
        def get(key: str) -> int:
            return 17

    def trainer() -> Any:
        rows = [{"raw_prompt": [number], "number": number} for number in range(10)]
        made = PPOTrainer.__new__(type("Trainer", (PPOTrainer,), {"on_step_end": None, "on_sample_end": None}))
        made.train_dataloader_it = None
        made.train_dataloader = StatefulDataLoader(
            rows, batch_size=3, drop_last=True, sampler=create_rl_sampler(Data, rows), collate_fn=_collate
        )
        return made

    def _collate(rows: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "raw_prompt": torch.tensor([row["raw_prompt"] for row in rows]),
            "number": torch.tensor([row["number"] for row in rows]),
        }

    def steps(made: Any, count: int) -> list[list[int]]:
        return [made._fetch_one_gen_batch()["number"].tolist() for _ in range(count)]

    unbroken = trainer()
    first = steps(unbroken, 3)
    saved = unbroken.train_dataloader.state_dict()
    second = steps(unbroken, 3)
    resumed = trainer()
    resumed.train_dataloader.load_state_dict(saved)
    return steps(resumed, 3) == second != first


def sft_after_the_end_of_an_epoch() -> Any:
    """Return the remaining steps of the second epoch, resumed at its beginning and in its middle: 3 and 1 of 3."""
    import torch
    from torch.utils.data import DistributedSampler
    from torchdata.stateful_dataloader import StatefulDataLoader
    from verl.utils.checkpoint import CheckpointHandler

    def loader() -> Any:
        rows = list(range(6))
        sampler = DistributedSampler(rows, num_replicas=1, rank=0, shuffle=True, drop_last=True)
        return StatefulDataLoader(rows, batch_size=2, sampler=sampler, drop_last=True)

    left = []
    for step in (3, 5):
        trained = loader()
        for epoch in range(-(-step // 3)):
            trained.sampler.set_epoch(epoch)
            iterator = iter(trained)
            for _ in range(min(3, step - 3 * epoch)):
                next(iterator)
        torch.save(trained.state_dict(), FOLDER / "data_0.pt")
        handler = CheckpointHandler.__new__(CheckpointHandler)
        handler.rank = handler.dp_rank = 0
        handler.resume_global_step, handler.train_dataloader = step, loader()
        handler._load_dataloader_state(str(FOLDER))
        handler.train_dataloader.sampler.set_epoch(1)
        left.append(len(list(handler.train_dataloader)))
    return left


def sft_after_its_last_step() -> Any:
    """Return the step to resume from after the last of 3."""
    from types import SimpleNamespace

    from verl.utils.checkpoint import CheckpointHandler

    handler = CheckpointHandler.__new__(CheckpointHandler)
    handler.rank = handler.dp_rank = 0
    handler._determine_resume_path = lambda: str(FOLDER / "global_step_3")
    settings = SimpleNamespace(total_training_steps=3)
    handler.engine = SimpleNamespace(load_checkpoint=lambda path: None, optimizer_config=settings)
    handler.train_dataloader = [1, 2, 3]
    try:
        return handler.load_checkpoint()
    except SystemExit as end:
        return f"exits with status {end.code}"


def rendered_file_is_accepted() -> Any:
    """Compose train.yaml as `main_ppo --config-path FOLDER --config-name train` does, and let verl validate it."""
    from hydra import compose, initialize_config_dir
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import validate_config

    from pipelines.models.tiny import Config, make

    model = FOLDER / "start"
    make(Config(vocabulary=300, hidden_size=64, layers=1, heads=1, max_tokens=512, seed=0, rows=(), output=model))
    found = {}
    for folder in sorted(FOLDER.glob("rendered-*")):
        with initialize_config_dir(str(folder), version_base=None):
            config = compose("train")
        config.actor_rollout_ref.model.path = config.critic.model.path = str(model)
        critic_needed, reference_needed = need_critic(config), need_reference_policy(config)
        validate_config(config, reference_needed, critic_needed)
        rollout, actor = config.actor_rollout_ref.rollout, config.actor_rollout_ref.actor
        found[folder.name] = [
            critic_needed,
            reference_needed,
            actor.strategy,
            rollout.n,
            rollout.prompt_length,
            config.trainer.v1.trainer_mode,
        ]
    return found


def metrics_folder_is_named() -> Any:
    return Path(os.environ["VERL_FILE_LOGGER_PATH"]).parent.name


ATTEMPTS: tuple[Callable[[], Any], ...] = (
    platform,
    process_group,
    engines,
    critic,
    reference,
    reference_is_pinned,
    weights_stay_loadable,
    weight_socket,
    weight_socket_is_in_tmp,
    samples_share_a_seed,
    rows_keep_their_order,
    tool_calls_are_logged,
    remax_is_answered_greedily,
    remax_has_baselines,
    gdpo_has_each_reward,
    validation_is_saved,
    reasons_are_passed_on,
    validation_leaves_samples,
    legacy_checkpoints_are_marked,
    end_of_epoch_is_resumed,
    sft_after_the_end_of_an_epoch,
    sft_after_its_last_step,
    metrics_file_is_truncated,
)

if __name__ == "__main__":
    import verl  # noqa: F401  imports the plugin if it is configured

    if os.environ.get("PROBE_PLATFORM_ONLY"):
        # verl's other modules cannot be imported without a platform; this one has no overrides.
        import importlib.util

        path = Path(os.environ["PROBE_PLATFORM_ONLY"])
        spec = importlib.util.spec_from_file_location("bare_platform", path)
        assert spec is not None
        assert spec.loader is not None
        attempt("platform", platform)
        bare = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(bare)
        bare.register()
        ATTEMPTS = ATTEMPTS[1:]
    else:
        attempt("metrics_folder", metrics_folder_is_named)
        attempt("rendered", rendered_file_is_accepted)
    for action in ATTEMPTS:
        attempt(action.__name__, action)
