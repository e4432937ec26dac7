"""SwanLab: an experiment per stage, grouped by run, online or in files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.recipe.tracking import Tracker as Options
from pipelines.records.metrics import Row
from pipelines.trackers.base import NOTHING, Samples, TrackedRun
from pipelines.trackers.log_files import read_records

_MARK = "step"
"""The metric that is logged last of each step: SwanLab keeps each metric on its own, and a kill may leave some of a step."""

_SHOWN = 50
"""Samples: each is a text of its own."""

# The process that would be measured is the one that feeds the tracker.
_UNUSED = ("hardware", "runtime", "requirements", "conda", "git", "swanlab", "monitor")


class SwanLab:
    """A `Tracker` with SwanLab's client."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._step = 0
        self._known: dict[str, float] = {}
        """Metric -> its last step in the files of an offline run."""
        self.address = ""

    def start(self, run: TrackedRun) -> float | None:
        import swanlab

        self._known = read_steps(run.folder, run.id)
        settings = swanlab.Settings(probe=dict.fromkeys(_UNUSED, False), terminal={"proxy_type": "none"})
        self._run: Any = swanlab.init(
            reinit=True,
            log_dir=str(run.folder),
            mode="offline" if self._options.offline else None,
            workspace=self._options.entity,
            project=self._options.project,
            name=run.name,
            group=run.group,
            id=run.id,
            resume="allow",
            config=dict(run.configuration),
            settings=settings,
        )
        self.address = f"swanlab sync {run.folder / f'run-*-{run.id}'}"
        if self._run.mode == "online":
            self.address = str(self._run.url)
            # The server's last step; SwanLab offers no other way to ask for it.
            found = getattr(getattr(self._run, "_ctx", None), "_global_step", None)
            last = float(found) if isinstance(found, int) else None
        else:
            last = self._known.get(_MARK, NOTHING)
        self._step = int(max(0, last or 0))
        return last

    def log(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._step = int(row["step"])
            self._log({name: value for name, value in row.items() if name != _MARK} | {_MARK: self._step})

    def log_samples(self, samples: Samples) -> None:
        import swanlab

        records = [dict(zip(samples.columns, row, strict=True)) for row in samples.rows[:_SHOWN]]
        texts = [swanlab.Text(json.dumps(each, ensure_ascii=False, indent=1)) for each in records]
        self._run.log({"samples": texts}, step=self._step)

    def log_figures(self, figures: Mapping[str, float]) -> None:
        self._log(figures)

    def log_model(self, folder: Path) -> None:
        import swanlab

        self._run.log({"model": swanlab.Text(str(folder))}, step=self._step)

    def finish(self, *, complete: bool) -> None:
        self._run.finish("success" if complete else "aborted")

    def _log(self, values: Mapping[str, float]) -> None:
        new = {name: value for name, value in values.items() if self._known.get(name, NOTHING) < self._step}
        self._run.log(new, step=self._step)


def read_steps(folder: Path, identity: str) -> dict[str, float]:
    """Return the last step of each metric in the files of that id."""
    from swanlab.proto.swanlab.record.v1.record_pb2 import Record

    found: dict[str, float] = {}
    for path in folder.glob(f"run-*-{identity}/run-{identity}.swanlab"):
        for record in read_records(path, Record):
            if record.HasField("scalar"):
                key = record.scalar.key
                found[key] = max(found.get(key, NOTHING), record.scalar.step)
    return found
