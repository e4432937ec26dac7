"""docs/runs.md names the fields of each `--json`, and no others."""

from __future__ import annotations

import re

import msgspec
import pytest

from pipelines.records.comparison import Difference, MetricComparison, RunComparison, StageComparison, Values
from pipelines.records.summaries import Metric, Process, RunList, RunStatus, RunSummary, StageSummary, StepSummary
from tests import ROOT

PAGE = (ROOT / "docs" / "runs.md").read_text(encoding="utf-8")


def rows(command: str) -> dict[str, set[str]]:
    """Return the table of a command: the fields of each line, joined, -> the names in its second cell."""
    section = PAGE.partition(f"### `{command} --json`\n")[2].partition("\n### ")[0]
    lines = [line.split(" | ", 1) for line in section.splitlines() if line.startswith("| `")]
    return {", ".join(re.findall(r"`(\w+)`", first)): set(re.findall(r"`(\w+)`", second)) for first, second in lines}


def fields(shape: type[msgspec.Struct]) -> set[str]:
    return set(shape.__struct_fields__)


@pytest.mark.parametrize(
    ("command", "documented"),
    [
        ("pipeline runs", fields(RunSummary)),
        ("pipeline status", fields(RunStatus) - fields(RunSummary)),
        ("pipeline compare", fields(RunComparison) | {"metrics"}),
    ],
)
def test_every_field_is_documented(command: str, documented: set[str]) -> None:
    assert {name for names in rows(command) for name in names.split(", ")} == documented


def test_fields_of_inner_objects() -> None:
    assert '`{"version", "runs": [RUN], "unreadable": {directory: reason}}`' in PAGE
    assert fields(RunList) == {"version", "runs", "unreadable"}
    assert '`{"name": "loss" or "reward", "value"}`' in PAGE and fields(Metric) == {"name", "value"}
    assert '`{"pid", "host", "here"}`' in PAGE and fields(Process) == {"pid", "host", "here"}
    status, compare = rows("pipeline status"), rows("pipeline compare")
    assert status["stages"] == fields(StageSummary)
    assert status["steps"] == fields(StepSummary)
    assert compare["recipe"] == fields(Difference) | {"null"}
    assert compare["stages"] >= fields(StageComparison)
    assert compare["metrics"] == fields(MetricComparison) | fields(Values) | {"lowest", "highest", "null"}
