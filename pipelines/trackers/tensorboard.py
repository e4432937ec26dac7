"""TensorBoard: event files in the run directory, one record per step."""

from __future__ import annotations

import json
import os
import shlex
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pipelines.recipe.tracking import Tracker as Options
from pipelines.records.metrics import Row
from pipelines.trackers.base import NOTHING, Samples, TrackedRun

_SHOWN = 50
"""Samples in one text: TensorBoard renders all of it."""


class TensorBoard:
    """A `Tracker` that writes the event format with tensorboard's own record writer, without its thread and queue.

    A record is the metrics of a step, so a step is in the files whole or not at all. Each start writes a new file, because a
    record that a kill has torn ends what is read of a file.
    """

    def __init__(self, options: Options) -> None:
        self._step = 0
        self._known: dict[str, float] = {}
        """Figures that the files have."""
        self.address = ""

    def start(self, run: TrackedRun) -> float | None:
        from tensorboard.summary.writer.record_writer import RecordWriter

        folder = run.folder / run.name.rpartition("/")[2] / run.id
        folder.mkdir(parents=True, exist_ok=True)
        self.address = f"tensorboard --logdir {shlex.quote(str(run.folder))}"
        last = self._read(folder)
        name = f"events.out.tfevents.{time.time():017.6f}.{socket.gethostname()}.{os.getpid()}"
        self._file = (folder / name).open("wb")
        self._writer = RecordWriter(self._file)
        self._write(file_version="brain.Event:2")
        if last == NOTHING:
            self._write_text("configuration", _to_table(run.configuration))
        self._step = max(0, int(last)) if last != NOTHING else 0
        return last

    def log(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._step = int(row["step"])
            self._write_numbers({name: value for name, value in row.items() if name != "step"})
        self._file.flush()

    def log_samples(self, samples: Samples) -> None:
        records = [dict(zip(samples.columns, row, strict=True)) for row in samples.rows[:_SHOWN]]
        blocks = (
            "```\n" + json.dumps(each, ensure_ascii=False, indent=1).replace("```", "` ` `") + "\n```" for each in records
        )
        self._write_text("samples", "\n\n".join(blocks))

    def log_figures(self, figures: Mapping[str, float]) -> None:
        if new := {name: value for name, value in figures.items() if self._known.get(name) != _to_float32(value)}:
            self._write_numbers(new)
            self._file.flush()

    def log_model(self, folder: Path) -> None:
        self._write_text("model", f"`{folder}`")

    def finish(self, *, complete: bool) -> None:
        self._file.close()

    def _read(self, folder: Path) -> float:
        """Return the last step of the files; remember the figures."""
        from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

        last = NOTHING
        for path in sorted(folder.glob("*tfevents*")):
            for event in LegacyEventFileLoader(str(path)).Load():
                numbers = {value.tag: value.simple_value for value in event.summary.value if value.HasField("simple_value")}
                if numbers:
                    last = max(last, event.step)
                    self._known |= numbers
        return last

    def _write_numbers(self, numbers: Mapping[str, float]) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        self._write(summary=Summary(value=[Summary.Value(tag=name, simple_value=each) for name, each in numbers.items()]))

    def _write_text(self, tag: str, text: str) -> None:
        from tensorboard.plugins.text.summary_v2 import text_pb

        self._write(summary=text_pb(tag, text))
        self._file.flush()

    def _write(self, **fields: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        self._writer.write(Event(wall_time=time.time(), step=self._step, **fields).SerializeToString())


def _to_table(values: Mapping[str, object]) -> str:
    """Return a table in Markdown."""
    return "\n".join(["| key | value |", "| --- | --- |", *_to_lines(values.items())])


def _to_lines(items: Iterable[tuple[str, object]]) -> Iterable[str]:
    for key, value in items:
        text = str(value).replace("|", "\\|").replace("\n", " ")
        yield f"| {key} | {text} |"


def _to_float32(value: float) -> float:
    """Return a number as the event format keeps it."""
    import struct

    return float(struct.unpack("<f", struct.pack("<f", value))[0])
