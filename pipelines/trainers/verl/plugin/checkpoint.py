"""After each checkpoint: what it is worth is written into it, and old ones go. `trainer.checkpoint_callback_class`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from verl.trainer.ppo.checkpoint_callback import CheckpointCallback


class KeepNewest(CheckpointCallback):
    """Writes `progress.json` into the checkpoint and keeps the newest `pipeline.keep_checkpoints`.

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
        draft = folder / "progress.json.draft"
        draft.write_text(json.dumps(progress) + "\n", encoding="utf-8")
        draft.replace(folder / "progress.json")
        keep = self.config.pipeline.keep_checkpoints
        if keep and not async_save:
            saved = sorted(folder.parent.glob("global_step_*"), key=lambda path: int(path.name.rpartition("_")[2]))
            for old in saved[:-keep]:
                (old / "progress.json").unlink(missing_ok=True)  # no longer whole, should a kill come now
                shutil.rmtree(old)
