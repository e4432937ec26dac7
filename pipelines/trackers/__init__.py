"""Experiment trackers: the metrics of each stage in TensorBoard, W&B, MLflow, SwanLab or Trackio.

Used by other rooms: `track` (processes: feeds the trackers of a recipe while a run goes through its steps) and `find_problems`
(readiness: missing packages and credentials).

A tracker is fed by a process of its own, which reads the run directory: what the tracker cannot take now is on the disk, and is
sent later. Nothing that a tracker does reaches the training.
"""
