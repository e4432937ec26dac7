"""Trackio: a run per stage, grouped by run, in its own database, a Space or a server."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.recipe.tracking import Tracker as Options
from pipelines.records.metrics import Row
from pipelines.trackers.base import Samples, TrackedRun


class Trackio:
    """A `Tracker` with Trackio's client, which finds a run again by its name and keeps a step in one record."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._step = 0
        self.address = ""

    def start(self, run: TrackedRun) -> float | None:
        import trackio

        url = self._options.url
        place = {} if url is None else {"server_url": url} if "://" in url else {"space_id": url}
        self._run: Any = trackio.init(
            project=self._options.project,
            name=f"{run.name}-{run.id[:8]}",
            group=run.group,
            config=dict(run.configuration),
            resume="allow",
            embed=False,
            auto_log_cpu=False,
            auto_log_gpu=False,
            **place,
        )
        self.address = url or f"trackio show --project {shlex.quote(self._options.project)}"
        # After the last step of the database or the server; Trackio offers no other way to ask both for it.
        following = getattr(self._run, "_next_step", None)
        last = float(following - 1) if isinstance(following, int) else None
        self._step = int(max(0, last or 0))
        return last

    def log(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._step = int(row["step"])
            self._run.log({name: value for name, value in row.items() if name != "step"}, step=self._step)

    def log_samples(self, samples: Samples) -> None:
        import trackio

        table = trackio.Table(columns=list(samples.columns), data=[list(row) for row in samples.rows])
        self._run.log({"samples": table}, step=self._step)

    def log_figures(self, figures: Mapping[str, float]) -> None:
        self._run.log(dict(figures), step=self._step)

    def log_model(self, folder: Path) -> None:
        import trackio

        artifact = trackio.Artifact(f"{folder.parent.name}-model", type="model", metadata={"path": str(folder)})
        # Without a checksum, for which the whole model would be read.
        artifact.add_reference(folder.as_uri(), checksum=False)
        self._run.log_artifact(artifact)

    def finish(self, *, complete: bool) -> None:
        self._run.finish()
