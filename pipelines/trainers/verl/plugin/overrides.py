"""Every place where verl's or vLLM's own code is overridden: one function each, with the reason and the version.

tests/pipelines/trainers/verl/plugin/test_overrides.py shows for each what happens without it, and fails when nothing does.
"""

from __future__ import annotations

from typing import Any


def accept_gloo_for_both_devices() -> None:
    """torch 2.13 refuses the backend "cpu:gloo,cpu:gloo" as a duplicate; verl 0.9.1 (utils/distributed.py) asks for it.

    It builds the name as "cpu:gloo,<device>:<backend>", and here the device is the CPU.
    """
    import torch.distributed

    upstream = torch.distributed.init_process_group
    if getattr(upstream, "accepts_gloo_for_both_devices", False):
        return

    def init_process_group(backend: str | None = None, *args: Any, **kwargs: Any) -> Any:
        return upstream("cpu:gloo" if backend == "cpu:gloo,cpu:gloo" else backend, *args, **kwargs)

    init_process_group.accepts_gloo_for_both_devices = True  # type: ignore[attr-defined]
    torch.distributed.init_process_group = init_process_group


def load_critic_with_chosen_attention() -> None:
    """verl 0.9.1 loads a critic with flash_attention_2, whatever the configuration says (utils/model.py).

    flash-attn exists for CUDA only and is optional there; the attention that was chosen is in the model's configuration.
    """
    import verl.utils.model as upstream

    def load_valuehead_model(local_path: str, torch_dtype: Any, model_config: Any, trust_remote_code: bool) -> Any:
        from transformers import AutoModelForTokenClassification

        return AutoModelForTokenClassification.from_pretrained(
            local_path,
            dtype=torch_dtype,
            config=model_config,
            attn_implementation=model_config._attn_implementation,
            trust_remote_code=trust_remote_code,
        )

    upstream.load_valuehead_model = load_valuehead_model


def log_tool_calls() -> None:
    """Puts what SeededToolAgent counted among a step's metrics.

    The V1 trainer of verl 0.9.1 logs of its agent loops no more than the number of turns (trainer/ppo/v1/trainer_base.py
    `_compute_metrics`).
    """
    from verl.trainer.ppo.v1 import trainer_base as upstream

    from pipelines.trainers.verl.plugin.tool_usage import summarise
    from rewards.builtin.interpreter_tool import ACCOUNT

    compute = upstream.PPOTrainer._compute_metrics

    def compute_metrics(self: Any, batch: Any, metrics: dict[str, float], *args: Any, **kwargs: Any) -> Any:
        if self.config.actor_rollout_ref.rollout.multi_turn.tool_config_path:
            data = upstream.tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=["extra_fields"])
            rows = zip(data.pop("extra_fields").tolist(), batch.tags, strict=True)
            real = [each for each, tag in rows if not tag.get("is_padding", False)]
            metrics.update(summarise([each[ACCOUNT] for each in real if ACCOUNT in each]))
        return compute(self, batch, metrics, *args, **kwargs)

    upstream.PPOTrainer._compute_metrics = compute_metrics


def answer_greedily_for_remax() -> None:
    """Has each prompt of a ReMax training answered once more, greedily, and its score read as the baseline.

    Only the legacy trainer of verl 0.9.1 does (trainer/ppo/ray_trainer.py `fit`); the V1 trainer has the estimator, and
    gives it no baseline (trainer/ppo/v1/trainer_base.py `_submit_batch_to_rollout`, `_compute_advantage`). What lies between
    is BaselineReplayBuffer's. Validation does not go this way.
    """
    from verl.trainer.ppo.v1 import trainer_base as upstream

    from pipelines.trainers.verl.plugin.baselines import FIELD
    from pipelines.trainers.verl.plugin.sampling import GREEDY

    submit = upstream.PPOTrainer._submit_batch_to_rollout
    compute = upstream.compute_advantage_for_multi_trajectories

    def submit_batch_to_rollout(self: Any, batch: Any) -> Any:
        if self.config.algorithm.adv_estimator == "remax":
            samples = self.config.actor_rollout_ref.rollout.n
            upstream.tu.assign_non_tensor_data(batch, "__rollout_n__", samples + 1)
            upstream.tu.assign_non_tensor_data(batch, GREEDY, samples)
        return submit(self, batch)

    def compute_advantage(data: Any, batch_keys: list[str], adv_estimator: Any, **others: Any) -> Any:
        if adv_estimator == "remax":
            noted = upstream.tq.kv_batch_get(keys=batch_keys, partition_id="train", select_fields=[FIELD])
            data.batch[FIELD] = noted[FIELD]
        return compute(data, batch_keys=batch_keys, adv_estimator=adv_estimator, **others)

    upstream.PPOTrainer._submit_batch_to_rollout = submit_batch_to_rollout
    upstream.compute_advantage_for_multi_trajectories = compute_advantage


def mark_checkpoints_of_fine_tuning() -> None:
    """Marks each checkpoint that is whole, keeps those that the recipe asks for, and resumes where a training ended.

    verl 0.9.1's SFT trainer names a checkpoint in its tracker file when other ranks may still write, and has no callback
    (utils/checkpoint/checkpoint_handler.py). It forgets the checkpoints of earlier attempts. At an epoch's end the state of
    the data loader that it saves is that of an epoch with nothing left: resumed, it trains one epoch less, and the last one
    in another order (verl#5725). Resumed at its last step, it trains one more.
    """
    from pathlib import Path

    from verl.utils.checkpoint.checkpoint_handler import CheckpointHandler
    from verl.utils.distributed import destroy_global_process_group

    from pipelines.trainers.verl.plugin.sft_checkpoint import mark_and_rotate

    save, load_all = CheckpointHandler.save_checkpoint, CheckpointHandler.load_checkpoint
    load = CheckpointHandler._load_dataloader_state

    def save_checkpoint(self: Any, step: int) -> None:
        keep, self.max_ckpt_to_keep = self.max_ckpt_to_keep, None
        try:
            save(self, step)  # returns when every rank has written
        finally:
            self.max_ckpt_to_keep = keep
        if self.rank == 0:
            mark_and_rotate(Path(self.default_local_dir) / f"global_step_{step}", step, keep)

    def load_checkpoint(self: Any) -> int:
        step: int = load_all(self)
        if 0 < self.engine.optimizer_config.total_training_steps <= step:
            print(f"nothing is left to train: the checkpoint is that of the last step, {step}")
            destroy_global_process_group()
            raise SystemExit(0)
        return step

    def load_dataloader_state(self: Any, checkpoint_path: str) -> None:
        if self.resume_global_step % len(self.train_dataloader):
            load(self, checkpoint_path)

    CheckpointHandler.save_checkpoint = save_checkpoint
    CheckpointHandler.load_checkpoint = load_checkpoint
    CheckpointHandler._load_dataloader_state = load_dataloader_state


def hand_gdpo_each_reward() -> None:
    """Hands GDPO's estimator what each reward gave, by the keys of `algorithm.gdpo_reward_keys`.

    The V1 trainer of verl 0.9.1 gives it the sum only (trainer/ppo/v1/trainer_base.py `_compute_advantage`). The estimator puts
    each score where the response ends, in the legacy trainer's layout of prompts and responses (trainer/ppo/core_algos.py
    `compute_gdpo_outcome_advantage`), and takes the sum over all places; so any place of the response's will do.
    """
    from verl.trainer.ppo.v1 import trainer_base as upstream

    compute = upstream.compute_advantage_for_multi_trajectories

    def compute_advantage(data: Any, batch_keys: list[str], adv_estimator: Any, config: Any = None, **others: Any) -> Any:
        if adv_estimator == "gdpo":
            noted = upstream.tq.kv_batch_get(keys=batch_keys, partition_id="train", select_fields=["extra_fields"])
            rewards = [each["reward_extra_info"] for each in noted.pop("extra_fields").tolist()]
            for key in config.gdpo_reward_keys:
                data.non_tensor_batch[key] = upstream.np.array([each[key] for each in rewards], dtype=upstream.np.float32)
            places = upstream.torch.ones_like(data.batch["response_mask"], dtype=upstream.torch.long)
            data.batch["prompts"], data.batch["attention_mask"] = places[:, :0], places
        return compute(data, batch_keys=batch_keys, adv_estimator=adv_estimator, config=config, **others)

    upstream.compute_advantage_for_multi_trajectories = compute_advantage


def keep_offloaded_weights_unpinned() -> None:
    """Pinned host memory needs an accelerator; verl 0.9.1 asks FSDP2 for it in every forward-only model.

    That is the reference model (workers/engine/fsdp/transformer_impl.py `_build_fsdp_module`).
    """
    from torch.distributed.fsdp import CPUOffloadPolicy
    from verl.workers.engine.fsdp import transformer_impl as upstream

    upstream.CPUOffloadPolicy = lambda pin_memory=True: CPUOffloadPolicy(pin_memory=False)


def keep_linear_weights_loadable() -> None:
    """vLLM 0.27 on a CPU packs linear weights for oneDNN after loading and drops the parameters.

    verl then finds nothing to load the next weights into, and the run hangs. Without oneDNN, vLLM multiplies with the
    live parameter, which can be loaded again and again (vllm/model_executor/layers/utils.py).
    """
    import vllm._custom_ops

    vllm._custom_ops._supports_onednn = False


def keep_weight_sockets_apart() -> None:
    """verl 0.9.1 sends weights through a socket in /tmp that is named after Ray's job and so alike in all runs.

    A cluster that verl starts for itself always counts its jobs from 01000000, so of two runs on one machine one would
    load the other's weights (workers/rollout/vllm_rollout: vllm_rollout.py, utils.py). In the temporary folder, which
    TMPDIR gives each run of its own, they are apart.
    """
    from verl.workers.rollout.vllm_rollout import bucketed_weight_transfer as upstream

    for end in (upstream.BucketedWeightSender, upstream.BucketedWeightReceiver):
        if not hasattr(end, "upstream_init"):
            end.upstream_init = end.__init__
            end.__init__ = _init_with_socket_in_tmpdir


def _init_with_socket_in_tmpdir(self: Any, zmq_handle: str, *args: Any, **kwargs: Any) -> None:
    import tempfile

    self.upstream_init(zmq_handle.replace("ipc:///tmp/", f"ipc://{tempfile.gettempdir()}/", 1), *args, **kwargs)
