"""What is to run on a cluster, as values: all that a script or a manifest is rendered from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipelines.records.submission import FOLDER, RECIPE

__all__ = ["FOLDER", "RECIPE", "TARGETS", "Job", "Target"]


@dataclass(frozen=True)
class Job:
    """A recipe to run on a cluster, once or with several seeds."""

    name: str
    """The recipe's name."""
    runs: Path
    """The parent of the run directories; absolute."""
    nodes: int
    """Machines."""
    gpus: int
    """GPUs of each machine; 0: the run is on the CPU."""
    workers: int
    """Worker processes of each machine: as many as GPUs, if it has any."""
    recipe: tuple[str, ...] = ()
    """The recipe as `pipeline run` would be given it: its path, and the `--set` options."""
    seeds: tuple[int, ...] = ()
    """Seeds, each with a run of its own; empty: the recipe's."""
    pipeline: str = "pipeline"
    """The command `pipeline`: its path, if it is not in a container."""
    verl: str = "python"
    """The Python with verl and Ray."""
    import_path: str = ""
    """PYTHONPATH with which that Python imports this project; empty: it is installed there."""
    paths: tuple[Path, ...] = ()
    """Files and folders that every node must have."""
    submitted_by: tuple[str, ...] = ()
    """The command line that submits it."""

    @property
    def names(self) -> list[str]:
        """The names of the runs."""
        return [self.seeded(seed) for seed in self.seeds] or [self.name]

    def seeded(self, seed: int | str) -> str:
        """Return the name of the run with a seed."""
        return f"{self.name}-seed-{seed}"

    def directory(self, name: str) -> Path:
        """Return the directory of a run."""
        return self.runs / name

    def command(self, name: str) -> list[str]:
        """Return the words that run the frozen recipe of a run."""
        return [self.pipeline, "run", str(self.directory(name) / RECIPE), "--runs", str(self.runs)]


Target = Literal["slurm", "ray", "kuberay"]

TARGETS: Sequence[Target] = ("slurm", "ray", "kuberay")
"""Where a recipe can be submitted to."""
