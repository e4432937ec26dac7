"""Weights & Biases: a run per stage, grouped by run, online or in files."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.recipe.tracking import Tracker as Options
from pipelines.records.metrics import Row
from pipelines.trackers.base import NOTHING, Samples, TrackedRun
from pipelines.trackers.log_files import read_records

_SECONDS = 30.0
"""Longest time to wait for the server when a run starts."""

_FLUSH_SECONDS = 2.0
"""Between two writes of an offline run's file; default of wandb: 15."""


class Wandb:
    """A `Tracker` with W&B's client.

    W&B takes the rows of a step until a later step comes, and steps never go back. A kill loses what its service holds; the
    server, or the files of an offline run, have the last step that was kept.
    """

    def __init__(self, options: Options) -> None:
        self._options = options
        self._offline = options.offline or os.environ.get("WANDB_MODE") == "offline"
        self.address = ""

    def start(self, run: TrackedRun) -> float | None:
        import wandb

        run.folder.mkdir(parents=True, exist_ok=True)
        last = find_last_step(run.folder, run.id) if self._offline else None
        try:
            self._run: Any = wandb.init(**self._arguments(run))
        except Exception:
            # Otherwise its service refuses the id when it is tried again.
            wandb.teardown()
            raise
        files = run.folder / "wandb" / f"offline-run-*-{run.id}"
        self.address = f"wandb sync {files}" if self._offline else str(self._run.url or "")
        return last if self._offline else float(self._run.starting_step - 1)

    def _arguments(self, run: TrackedRun) -> dict[str, Any]:
        """Return the arguments of `wandb.init`."""
        import wandb

        server = {"base_url": self._options.url} if self._options.url else {}
        # The process that would be measured is the one that feeds the tracker: its output, code and load say nothing.
        settings = wandb.Settings(
            console="off",
            disable_code=True,
            disable_git=True,
            init_timeout=_SECONDS,
            silent=True,
            x_disable_machine_info=True,
            x_disable_stats=True,
            x_save_requirements=False,
            x_transaction_log_flush_interval=_FLUSH_SECONDS,
            **server,
        )
        return {
            "project": self._options.project,
            "entity": self._options.entity,
            "id": run.id,
            "name": run.name,
            "group": run.group,
            "job_type": run.name.rpartition("/")[2],
            "config": dict(run.configuration),
            "resume": None if self._offline else "allow",
            "mode": "offline" if self._offline else None,
            "dir": run.folder,
            "settings": settings,
        }

    def log(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._run.log({name: value for name, value in row.items() if name != "step"}, step=int(row["step"]))

    def log_samples(self, samples: Samples) -> None:
        import wandb

        # In the summary, which a resumed run may change; a step that was sent takes nothing more.
        table = wandb.Table(columns=list(samples.columns), data=[list(row) for row in samples.rows])
        self._run.summary["samples"] = table

    def log_figures(self, figures: Mapping[str, float]) -> None:
        self._run.summary.update(dict(figures))

    def log_model(self, folder: Path) -> None:
        import wandb

        artifact = wandb.Artifact(f"{self._run.id}-model", type="model", metadata={"path": str(folder)})
        if self._options.upload_model:
            artifact.add_dir(str(folder))
        else:
            # Without a checksum, for which the whole model would be read.
            artifact.add_reference(folder.as_uri(), name="model", checksum=False)
        self._run.log_artifact(artifact)

    def finish(self, *, complete: bool) -> None:
        import wandb

        self._run.finish(exit_code=0 if complete else 1)
        # Until its service has ended, what it holds of an offline run may not be in the file.
        wandb.teardown()


def find_last_step(folder: Path, identity: str) -> float:
    """Return the last step that the offline runs of that id have, or NOTHING."""
    from wandb.proto.wandb_internal_pb2 import Record

    files = folder.glob(f"wandb/offline-run-*-{identity}/run-{identity}.wandb")
    records = (record for file in files for record in read_records(file, Record) if record.HasField("history"))
    return max((read_step(record.history) for record in records), default=NOTHING)


def read_step(history: Any) -> float:
    """Return the step of a history record."""
    if history.HasField("step"):
        return float(history.step.num)
    return next((float(json.loads(item.value_json)) for item in history.item if item.key == "_step"), NOTHING)
