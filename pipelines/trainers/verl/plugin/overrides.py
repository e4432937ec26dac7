"""All overrides of verl's and vLLM's code: one function each, with the reason and the version, and `after_import`.

tests/pipelines/trainers/verl/plugin/test_overrides.py checks what happens without each, and fails when one is not needed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any


def after_import(module: str, action: Callable[[], None]) -> None:
    """Call `action` once after `module` is imported, immediately if it is already, so that nothing is imported too early."""
    if module in sys.modules:
        action()
    else:
        sys.meta_path.insert(0, _Finder(module, action))


class _Finder(MetaPathFinder):
    def __init__(self, module: str, action: Callable[[], None]) -> None:
        self._module, self._action = module, action

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname != self._module:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(fullname)
        if spec is not None and spec.loader is not None:
            upstream = spec.loader.exec_module

            def exec_module(module: ModuleType) -> None:
                upstream(module)
                self._action()

            spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def deduplicate_gloo_backend() -> None:
    """Replace the backend "cpu:gloo,cpu:gloo", which torch 2.13 rejects as a duplicate, by "cpu:gloo".

    verl 0.9.1 (utils/distributed.py) requests "cpu:gloo,<device>:<backend>", and here the device is the CPU.
    """
    import torch.distributed

    upstream = torch.distributed.init_process_group

    def init_process_group(backend: str | None = None, *args: Any, **kwargs: Any) -> Any:
        return upstream("cpu:gloo" if backend == "cpu:gloo,cpu:gloo" else backend, *args, **kwargs)

    torch.distributed.init_process_group = init_process_group


def load_critic_with_configured_attention() -> None:
    """Load a critic with the attention of its configuration.

    verl 0.9.1 always uses flash_attention_2 (utils/model.py), but flash-attn is for CUDA only, and optional there.
    """
    import verl.utils.model as upstream

    def load_valuehead_model(local_path: str, torch_dtype: Any, model_config: Any, trust_remote_code: bool) -> Any:
        from transformers import AutoModelForTokenClassification

        options = {"dtype": torch_dtype, "attn_implementation": model_config._attn_implementation}
        return AutoModelForTokenClassification.from_pretrained(
            local_path, config=model_config, trust_remote_code=trust_remote_code, **options
        )

    upstream.load_valuehead_model = load_valuehead_model


def log_tool_calls() -> None:
    """Add the usage that SeededToolAgent counted to a step's metrics.

    The V1 trainer of verl 0.9.1 logs only the number of turns (trainer/ppo/v1/trainer_base.py `_compute_metrics`).
    """
    from verl.trainer.ppo.v1 import trainer_base as upstream

    from pipelines.trainers.verl.plugin.tool_usage import summarise
    from rewards.builtin.interpreter_tool import USAGE_KEY

    compute = upstream.PPOTrainer._compute_metrics

    def compute_metrics(self: Any, batch: Any, metrics: dict[str, float], *args: Any, **kwargs: Any) -> Any:
        if self.config.actor_rollout_ref.rollout.multi_turn.tool_config_path:
            data = upstream.tq.kv_batch_get(keys=batch.keys, partition_id=batch.partition_id, select_fields=["extra_fields"])
            rows = zip(data.pop("extra_fields").tolist(), batch.tags, strict=True)
            real = [each for each, tag in rows if not tag.get("is_padding", False)]
            metrics.update(summarise([each[USAGE_KEY] for each in real if USAGE_KEY in each]))
        return compute(self, batch, metrics, *args, **kwargs)

    upstream.PPOTrainer._compute_metrics = compute_metrics


def add_remax_baselines() -> None:
    """Generate a greedy response to each prompt of a ReMax training, and pass its score to the estimator as the baseline.

    Only the legacy trainer of verl 0.9.1 does so (trainer/ppo/ray_trainer.py `fit`). The V1 trainer has the estimator, but no
    baseline for it (trainer/ppo/v1/trainer_base.py `_submit_batch_to_rollout`, `_compute_advantage`). In between,
    BaselineReplayBuffer stores the scores. Validation is not affected.
    """
    from verl.trainer.ppo.v1 import trainer_base as upstream

    from pipelines.trainers.verl.plugin.sampling import BASELINE_FIELD, GREEDY

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
            stored = upstream.tq.kv_batch_get(keys=batch_keys, partition_id="train", select_fields=[BASELINE_FIELD])
            data.batch[BASELINE_FIELD] = stored[BASELINE_FIELD]
        return compute(data, batch_keys=batch_keys, adv_estimator=adv_estimator, **others)

    upstream.PPOTrainer._submit_batch_to_rollout = submit_batch_to_rollout
    upstream.compute_advantage_for_multi_trajectories = compute_advantage


def mark_sft_checkpoints() -> None:
    """Mark complete SFT checkpoints, delete old ones as the recipe asks, and resume correctly at the end of an epoch.

    verl 0.9.1's SFT trainer writes a checkpoint into its tracker file while other ranks may still be writing, and has no
    callback (utils/checkpoint/checkpoint_handler.py). It ignores the checkpoints of earlier attempts. At the end of an epoch it
    saves the data loader's state with no batch left: resumed, it trains one epoch less, and the last one in another order
    (verl#5725). Resumed at its last step, it trains one more.
    """
    from pathlib import Path

    from verl.utils.checkpoint.checkpoint_handler import CheckpointHandler
    from verl.utils.distributed import destroy_global_process_group

    from pipelines.trainers.verl.checkpoints.rotation import mark_and_rotate_sft

    save, load_all = CheckpointHandler.save_checkpoint, CheckpointHandler.load_checkpoint
    load = CheckpointHandler._load_dataloader_state

    def save_checkpoint(self: Any, step: int) -> None:
        keep, self.max_ckpt_to_keep = self.max_ckpt_to_keep, None
        try:
            save(self, step)  # returns when every rank has written
        finally:
            self.max_ckpt_to_keep = keep
        if self.rank == 0:
            mark_and_rotate_sft(Path(self.default_local_dir) / f"global_step_{step}", step, keep)

    def load_checkpoint(self: Any) -> int:
        step: int = load_all(self)
        if 0 < self.engine.optimizer_config.total_training_steps <= step:
            print(f"training is complete: resumed from the checkpoint of the last step, {step}")
            destroy_global_process_group()
            raise SystemExit(0)
        return step

    def load_dataloader_state(self: Any, checkpoint_path: str) -> None:
        if self.resume_global_step % len(self.train_dataloader):
            load(self, checkpoint_path)

    CheckpointHandler.save_checkpoint = save_checkpoint
    CheckpointHandler.load_checkpoint = load_checkpoint
    CheckpointHandler._load_dataloader_state = load_dataloader_state


def mark_legacy_checkpoints() -> None:
    """Call the checkpoint callback after each checkpoint of the legacy trainer, also of a subclass that saves its own way.

    Only the V1 trainer of verl 0.9.1 calls it, not the legacy trainer, from which entry points outside verl's core derive
    (trainer/ppo/ray_trainer.py `_save_checkpoint`). Without its marker, a checkpoint counts as incomplete.
    """
    from pathlib import Path

    from verl.trainer.ppo import ray_trainer as upstream
    from verl.trainer.ppo.checkpoint_callback import build_checkpoint_callback

    init = upstream.RayPPOTrainer.__init__

    def init_with_callback(self: Any, *args: Any, **kwargs: Any) -> None:
        init(self, *args, **kwargs)
        callback, save = build_checkpoint_callback(self.config), self._save_checkpoint

        def save_checkpoint(*args: Any, **kwargs: Any) -> Any:
            result = save(*args, **kwargs)
            folder = Path(self.config.trainer.default_local_dir) / f"global_step_{self.global_steps}"
            callback.on_save(self, self.global_steps, str(folder))
            return result

        self._save_checkpoint = save_checkpoint

    upstream.RayPPOTrainer.__init__ = init_with_callback


def save_validations() -> None:
    """Save each validation row by row, next to the metrics, so that two steps can be compared on the same rows.

    verl 0.9.1 logs means only; its dump of the responses (`trainer.validation_data_dir`) names no rows and no data sources
    (trainer/ppo/v1/trainer_base.py `_validate`).
    """
    import os
    from pathlib import Path

    from verl.trainer.ppo.v1 import trainer_base as upstream

    from pipelines.trainers.verl.attempt_files import METRICS_FOLDER, VALIDATIONS
    from pipelines.trainers.verl.checkpoints.validations import save_validation

    log, update = upstream.PPOTrainer._maybe_log_val_generations, upstream.PPOTrainer._val_metrics_update

    def maybe_log_val_generations(self: Any, inputs: list[str], outputs: list[str], scores: list[float]) -> None:
        self.validated_prompts = inputs
        log(self, inputs, outputs, scores)

    def val_metrics_update(self: Any, data_sources: Any, sample_uids: Any, values: Any, *args: Any, **kwargs: Any) -> Any:
        folder = Path(os.environ[METRICS_FOLDER]).with_name(VALIDATIONS)
        save_validation(folder, self.global_steps, data_sources, self.validated_prompts, values)
        return update(self, data_sources, sample_uids, values, *args, **kwargs)

    upstream.PPOTrainer._maybe_log_val_generations = maybe_log_val_generations
    upstream.PPOTrainer._val_metrics_update = val_metrics_update


def report_reasons() -> None:
    """Return the reasons for a score with it, in `reward_extra_info`; `pass_on_reasons` takes them out again.

    Not if a reward model on the same GPUs computes scores after generation: verl 0.9.1 then adds all of it to the batch
    (experimental/reward_loop/reward_loop.py `compute_rm_score`).
    """
    from verl.experimental.reward_loop import reward_loop as upstream

    from pipelines.trainers.verl.plugin.reasons import REASONS, join_reasons, keeps_samples
    from rewards.reasons import collect_reasons

    score = upstream.RewardLoopWorker.compute_score

    async def compute_score(self: Any, data: Any) -> Any:
        model = self.config.reward.reward_model
        if not keeps_samples(self.config) or (model.enable and not model.enable_resource_pool):
            return await score(self, data)
        with collect_reasons() as reasons:
            result = await score(self, data)
        if reasons and "reward_extra_info" in result:
            result["reward_extra_info"][REASONS] = join_reasons(reasons)
        return result

    upstream.RewardLoopWorker.compute_score = compute_score


def pass_on_reasons() -> None:
    """Move the reasons for a score from `reward_extra_info`, all of which verl 0.9.1 logs, to the response's `extra_fields`.

    verl takes nothing else of a reward's result (experimental/agent_loop/agent_loop.py `_compute_score`).
    """
    from verl.experimental.agent_loop import agent_loop as upstream

    from pipelines.trainers.verl.plugin.reasons import REASONS

    score = upstream.AgentLoopWorker._compute_score

    async def compute_score(self: Any, outputs: Any, *args: Any, **kwargs: Any) -> None:
        await score(self, outputs, *args, **kwargs)
        extra = outputs[-1].extra_fields
        if REASONS in (extra.get("reward_extra_info") or {}):
            extra[REASONS] = extra["reward_extra_info"].pop(REASONS)

    upstream.AgentLoopWorker._compute_score = compute_score


def keep_samples() -> None:
    """Keep a few responses of each step and each validation with their rewards, before verl deletes them.

    verl 0.9.1 dumps all responses or none (`trainer.rollout_data_dir`, `validation_data_dir`), without rows, data sources and
    reasons. It deletes those of a step after its metrics, and those of a validation within `_validate`
    (trainer/ppo/v1/trainer_base.py).
    """
    from verl.trainer.ppo.v1 import trainer_base as upstream

    from pipelines.trainers.verl.plugin.reasons import keeps_samples
    from pipelines.trainers.verl.plugin.samples import SampleKeeper

    compute, validate = upstream.PPOTrainer._compute_metrics, upstream.PPOTrainer._validate

    def fetch(keys: Sequence[str], partition: str, fields: Sequence[str]) -> dict[str, list[Any]]:
        data = upstream.tq.kv_batch_get(keys=list(keys), partition_id=partition, select_fields=list(fields))
        values = {field: data.pop(field) for field in fields}
        return {
            field: [row.tolist() for row in value.unbind()] if isinstance(value, upstream.torch.Tensor) else value.tolist()
            for field, value in values.items()
        }

    def keeper(trainer: Any) -> SampleKeeper:
        if not hasattr(trainer, "sample_keeper"):
            decode = trainer.tokenizer.decode
            trainer.sample_keeper = SampleKeeper(trainer.config, fetch, lambda ids: decode(ids, skip_special_tokens=True))
        kept: SampleKeeper = trainer.sample_keeper
        return kept

    def compute_metrics(self: Any, batch: Any, *args: Any, **kwargs: Any) -> Any:
        result = compute(self, batch, *args, **kwargs)
        if keeps_samples(self.config):
            real = [key for key, tag in zip(batch.keys, batch.tags, strict=True) if not tag.get("is_padding", False)]
            keeper(self).collect(real, batch.partition_id)
            keeper(self).write("train", self.global_steps)
        return result

    def validate_and_keep(self: Any) -> Any:
        if not keeps_samples(self.config):
            return validate(self)
        queue = upstream.tq
        upstream.tq = _BeforeClearing(queue, keeper(self).collect)
        try:
            metrics = validate(self)
        finally:
            upstream.tq = queue
        keeper(self).write("validation", self.global_steps)
        return metrics

    upstream.PPOTrainer._compute_metrics = compute_metrics
    upstream.PPOTrainer._validate = validate_and_keep


class _BeforeClearing:
    """A module `transfer_queue` that calls `action(keys, partition)` before it deletes them."""

    def __init__(self, module: Any, action: Callable[[Sequence[str], str], None]) -> None:
        self._module, self._action = module, action

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)

    def kv_clear(self, keys: Sequence[str], partition_id: str) -> Any:
        self._action(keys, partition_id)
        return self._module.kv_clear(keys=keys, partition_id=partition_id)


def pass_rewards_to_gdpo() -> None:
    """Pass the score of each reward to GDPO's estimator, by the keys of `algorithm.gdpo_reward_keys`.

    The V1 trainer of verl 0.9.1 passes only the sum (trainer/ppo/v1/trainer_base.py `_compute_advantage`). The estimator puts
    each score at the end of the response, in the legacy trainer's layout of prompts and responses (trainer/ppo/core_algos.py
    `compute_gdpo_outcome_advantage`), and sums over all positions, so any position of the response works.
    """
    from verl.trainer.ppo.v1 import trainer_base as upstream

    compute = upstream.compute_advantage_for_multi_trajectories

    def compute_advantage(data: Any, batch_keys: list[str], adv_estimator: Any, config: Any = None, **others: Any) -> Any:
        if adv_estimator == "gdpo":
            stored = upstream.tq.kv_batch_get(keys=batch_keys, partition_id="train", select_fields=["extra_fields"])
            rewards = [each["reward_extra_info"] for each in stored.pop("extra_fields").tolist()]
            for key in config.gdpo_reward_keys:
                data.non_tensor_batch[key] = upstream.np.array([each[key] for each in rewards], dtype=upstream.np.float32)
            positions = upstream.torch.ones_like(data.batch["response_mask"], dtype=upstream.torch.long)
            data.batch["prompts"], data.batch["attention_mask"] = positions[:, :0], positions
        return compute(data, batch_keys=batch_keys, adv_estimator=adv_estimator, config=config, **others)

    upstream.compute_advantage_for_multi_trajectories = compute_advantage


def disable_pinned_memory() -> None:
    """Offload FSDP2 weights without pinned host memory, which needs an accelerator.

    verl 0.9.1 pins those of the reference model (workers/engine/fsdp/transformer_impl.py `_build_fsdp_module`).
    """
    from torch.distributed.fsdp import CPUOffloadPolicy
    from verl.workers.engine.fsdp import transformer_impl as upstream

    upstream.CPUOffloadPolicy = lambda pin_memory=True: CPUOffloadPolicy(pin_memory=False)


def disable_onednn() -> None:
    """Make vLLM 0.27 on a CPU multiply with the parameters of linear layers, so that they can be loaded repeatedly.

    For oneDNN it packs the weights after loading and drops the parameters (vllm/model_executor/layers/utils.py). verl then has
    nothing to load the next weights into, and the run hangs.
    """
    import vllm._custom_ops

    vllm._custom_ops._supports_onednn = False


def move_weight_sockets() -> None:
    """Create the sockets for weights in the temporary folder, which TMPDIR makes separate for each run.

    verl 0.9.1 creates them in /tmp, named after Ray's job. A cluster that verl starts always numbers its jobs from 01000000, so
    of two runs on one machine one would load the other's weights (workers/rollout/vllm_rollout: vllm_rollout.py, utils.py).
    """
    import tempfile

    from verl.workers.rollout.vllm_rollout import bucketed_weight_transfer as upstream

    def move(init: Any) -> Any:
        def init_in_tmpdir(self: Any, zmq_handle: str, *args: Any, **kwargs: Any) -> None:
            init(self, zmq_handle.replace("ipc:///tmp/", f"ipc://{tempfile.gettempdir()}/", 1), *args, **kwargs)

        return init_in_tmpdir

    for end in (upstream.BucketedWeightSender, upstream.BucketedWeightReceiver):
        end.__init__ = move(end.__init__)
