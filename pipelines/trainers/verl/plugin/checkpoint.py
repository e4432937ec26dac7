"""After each checkpoint: what it is worth is written into it, and old ones go. `trainer.checkpoint_callback_class`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from verl.trainer.ppo.checkpoint_callback import CheckpointCallback

from pipelines.trainers.verl.attempt_files import METRICS_FOLDER
from pipelines.trainers.verl.checkpoints.best import find_best
from pipelines.trainers.verl.checkpoints.metric_files import read_metrics
from pipelines.trainers.verl.checkpoints.rotation import mark_whole, remove_old, step_of


class KeepNewest(CheckpointCallback):
    """Writes `progress.json` into the checkpoint and keeps the newest `pipeline.keep_checkpoints`, and the best if asked to.

    verl validates a step after it has saved it, so the newest is kept until the next is saved, when its score is known.
    verl calls it when the checkpoint is whole and the tracker file names it. Its own `max_actor_ckpt_to_keep` forgets the
    checkpoints of earlier attempts, leaves their folders, and at 1 deletes the old one before the new one is whole.
    """

    def on_save(self, trainer: Any, global_step: int, checkpoint_dir: str, async_save: bool = False, **_: Any) -> None:
        folder = Path(checkpoint_dir)
        progress = {
            "step": global_step,
            "total_steps": trainer.total_training_steps,
            "steps_per_epoch": trainer.steps_per_epoch,
            "train_rows": len(trainer.train_dataset),
            "validation_rows": len(trainer.val_dataset),
        }
        mark_whole(folder, progress)
        if not async_save:
            older = [step for each in folder.parent.glob("global_step_*") if (step := step_of(each)) < global_step]
            remove_old(folder.parent, self.config.pipeline.keep_checkpoints, self._find_best(older))

    def _find_best(self, steps: list[int]) -> int | None:
        """The best of these steps, as all attempts have logged them; None where the last checkpoint is handed on."""
        folder = os.environ.get(METRICS_FOLDER)
        if not self.config.pipeline.get("keep_best") or folder is None:
            return None
        found = find_best(read_metrics(Path(folder)), steps, self.config.pipeline.get("best_metric"))
        return found.step if found else None
