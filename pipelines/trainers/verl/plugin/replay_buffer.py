"""Replay buffers that keep the order of the data: verl's `trainer.v1.sampler.custom_sampler`."""

from __future__ import annotations

from typing import Any

import torch
import transfer_queue as tq
from tensordict import TensorDict
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

from pipelines.trainers.verl.plugin.sampling import BASELINE_FIELD, GREEDY, prompt_of, split_baselines


class NothingToLearnError(RuntimeError):
    """Too many prompts were dropped because all their samples have the same score."""


class OrderedReplayBuffer(ReplayBuffer):
    """The synchronous trainer's buffer; returns the rows of a step in the order of their prompts.

    verl's buffer returns them in the order of their responses: mini-batches, and therefore the trained model, would differ from
    run to run. `sampler_kwargs.poll_interval` is in seconds (verl: 2).

    `sampler_kwargs.filter_groups` has what verl passes only to its own buffer (trainer/ppo/v1/trainer_base.py
    `_build_replay_buffer`): verl's keys of that name, and `train_batch_size`. Unlike verl 0.9.1, it honours
    `max_num_gen_batches`; verl's buffer samples forever if no scores differ.
    """

    def __init__(self, *args: Any, sampler_kwargs: Any, **kwargs: Any) -> None:
        interval = float(sampler_kwargs.get("poll_interval", 2.0))
        filters = sampler_kwargs.get("filter_groups")
        self._batches = int(filters["max_num_gen_batches"]) if filters else 0
        self._dropped = 0
        if filters:
            kwargs |= {
                "filter_groups_metric": str(filters["metric"]),
                "train_batch_size": int(filters["train_batch_size"]),
                "gen_batch_size": 1,  # verl's value whenever groups are filtered
                "max_inflight_gen_batches": int(filters["max_inflight_gen_batches"]),
            }
        super().__init__(*args, sampler_kwargs=sampler_kwargs, poll_interval=interval, **kwargs)

    def sample(self, global_steps: int, partition_id: str, batch_size: int) -> Any:
        """Return the rows of a step, and metrics."""
        self._dropped = 0
        return super().sample(global_steps, partition_id, batch_size)

    def _evict_terminal_groups(self, global_steps: int, partition_id: str, eviction_reasons: Any) -> Any:
        evicted = super()._evict_terminal_groups(global_steps, partition_id, eviction_reasons)
        self._dropped += evicted[2]
        if self._batches and partition_id != "val":
            found, needed = len(self.finished_keys[partition_id]), self.train_batch_size
            if found < needed and self._dropped >= self._batches * needed:
                raise NothingToLearnError(
                    f"step {global_steps} found {found} of {needed} prompts whose samples differ in score, and dropped "
                    f"{self._dropped} whose samples do not; the limit is max_num_gen_batches: {self._batches} batches of "
                    f"{needed} prompts. Train on rows that the model solves sometimes"
                )
        return evicted

    def _materialize_batch(self, partition_id: str, selected_prompt_uids: list[str], partition_snapshot: Any) -> Any:
        places = {uid: place for place, uid in enumerate(self.prompt_global_steps[partition_id])}

        def place(key: str) -> tuple[int, int, int]:
            uid, session, index = key.rsplit("_", 2)
            return places.get(uid, len(places)), int(session), int(index)

        ordered = {key: partition_snapshot[key] for key in sorted(partition_snapshot, key=place)}
        return super()._materialize_batch(partition_id, selected_prompt_uids, ordered)


class BaselineReplayBuffer(OrderedReplayBuffer):
    """Removes the greedy responses from the training batch, and stores their scores with the samples of their prompts."""

    def sample(self, global_steps: int, partition_id: str, batch_size: int) -> Any:
        """Return the samples of a step, each with its baseline, and metrics."""
        batch, metrics = super().sample(global_steps, partition_id, batch_size)
        if partition_id == "val":
            return batch, metrics
        data = tq.kv_batch_get(keys=batch.keys, partition_id=partition_id, select_fields=["rm_scores", GREEDY])
        greedy = [int(session) for session in data.pop(GREEDY).tolist()]
        baselines, kept, removed = split_baselines(batch.keys, data["rm_scores"].sum(dim=1).tolist(), greedy)
        if not kept:
            raise RuntimeError(f"no prompt of step {global_steps} has both samples and a greedy response")
        tq.kv_clear(keys=removed, partition_id=partition_id)
        scores = torch.tensor([baselines[prompt_of(key)] for key in kept], dtype=torch.float32)
        tq.kv_batch_put(keys=kept, partition_id=partition_id, fields=TensorDict({BASELINE_FIELD: scores}, batch_size=len(kept)))
        metrics["training/baseline/score/mean"] = sum(baselines.values()) / len(baselines)
        metrics["training/baseline/lost_samples"] = len(removed) - len(baselines)
        return batch.select_keys(kept), metrics
