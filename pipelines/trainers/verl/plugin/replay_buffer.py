"""verl's replay buffer with rows in the order of the data: `trainer.v1.sampler.custom_sampler`."""

from __future__ import annotations

from typing import Any

from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer


class OrderedReplayBuffer(ReplayBuffer):
    """The synchronous trainer's buffer, which hands on the rows of a step in the order of their prompts.

    verl's own hands them on in the order in which they were answered; mini-batches, and with them the trained model,
    would differ from run to run. `sampler_kwargs.poll_interval` is the seconds between two looks for answers (verl: 2).
    """

    def __init__(self, *args: Any, sampler_kwargs: Any, **kwargs: Any) -> None:
        interval = float(sampler_kwargs.get("poll_interval", 2.0))
        super().__init__(*args, sampler_kwargs=sampler_kwargs, poll_interval=interval, **kwargs)

    def _materialize_batch(self, partition_id: str, selected_prompt_uids: list[str], partition_snapshot: Any) -> Any:
        places = {uid: place for place, uid in enumerate(self.prompt_global_steps[partition_id])}

        def place(key: str) -> tuple[int, int, int]:
            uid, session, index = key.rsplit("_", 2)
            return places.get(uid, len(places)), int(session), int(index)

        ordered = {key: partition_snapshot[key] for key in sorted(partition_snapshot, key=place)}
        return super()._materialize_batch(partition_id, selected_prompt_uids, ordered)
