"""verl as a `pipelines.trainers.base.Trainer` of reinforcement-learning stages."""

from __future__ import annotations

from pipelines.trainers.verl.checkpoints import before_attempt, export, result
from pipelines.trainers.verl.progress import metrics, progress
from pipelines.trainers.verl.rl import launch

__all__ = ["before_attempt", "export", "launch", "metrics", "progress", "result"]
