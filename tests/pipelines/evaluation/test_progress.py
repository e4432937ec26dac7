"""The progress of an evaluation, from its files."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from pipelines.console import progress as console
from pipelines.console.progress import Progress
from pipelines.evaluation.progress import Counts


def test_counts_and_rate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "PLAIN_SECONDS", 0)
    generated, scored = tmp_path / "generated.jsonl", tmp_path / "responses.jsonl"
    generated.write_text("1\n2\n")
    clock = iter([10.0, 10.0, 20.0, 20.0])
    counts = Counts([tmp_path], 10, lambda: next(clock))
    assert (counts.before, counts.scored()) == (2, 0)
    stream = io.StringIO()
    display = Progress(stream)
    display.start("evaluate")
    counts.show(display)  # the model is being loaded
    generated.write_text("1\n2\n3\n")
    counts.show(display)
    generated.write_text("1\n2\n3\n4\n5\n6\n7\n8\n9")
    scored.write_text("1\n2\n")
    counts.show(display)
    assert stream.getvalue().splitlines()[-1].startswith("evaluate: generated 8/10, scored 2  0.5 responses/s")
