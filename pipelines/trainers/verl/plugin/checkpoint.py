"""Mark each RL checkpoint as complete and delete old ones: `trainer.checkpoint_callback_class`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from verl.trainer.ppo.checkpoint_callback import CheckpointCallback

from pipelines.trainers.verl.attempt_files import METRICS_FOLDER
from pipelines.trainers.verl.checkpoints.best import find_best, find_criterion
from pipelines.trainers.verl.checkpoints.metrics import read_metrics
from pipelines.trainers.verl.checkpoints.rotation import mark_complete, remove_old, step_number


class KeepNewest(CheckpointCallback):
    """Writes `progress.json` into a checkpoint; keeps the newest `pipeline.keep_checkpoints`, and the best with `keep_best`.

    verl calls it after the checkpoint is complete and in the tracker file. verl validates a step after saving it: the newest
    is kept until the next is saved, when its score is known. verl's own `max_actor_ckpt_to_keep` ignores the checkpoints of
    earlier attempts, leaves their folders, and at 1 deletes the old checkpoint before the new one is complete.
    """

    def on_save(self, trainer: Any, global_step: int, checkpoint_dir: str, async_save: bool = False, **_: Any) -> None:
        folder = Path(checkpoint_dir)
        progress = {
            "step": global_step,
            "total_steps": trainer.total_training_steps,
            # The legacy trainer does not keep it.
            "steps_per_epoch": getattr(trainer, "steps_per_epoch", None) or len(trainer.train_dataloader),
            "train_rows": len(trainer.train_dataset),
            "validation_rows": len(trainer.val_dataset),
        }
        mark_complete(folder, progress)
        if async_save:
            return
        settings, best = self.config.pipeline, None
        if settings.get("keep_best"):
            older = [step for each in folder.parent.glob("global_step_*") if (step := step_number(each)) < global_step]
            rows = read_metrics(Path(os.environ[METRICS_FOLDER]))
            best = find_best(rows, older, find_criterion(rows, settings.get("best_metric")))
        remove_old(folder.parent, settings.keep_checkpoints, best and best[0])
