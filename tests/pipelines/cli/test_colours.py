"""NO_COLOR: no command prints colours."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.terminal import COLOUR, pipeline, show

COMMANDS = [
    ["--help"],
    ["recipes"],
    ["algorithms"],
    ["rewards", "list"],
    ["data", "converters"],
    ["env", "list"],
    ["explain", "samples"],
    ["plan", "smoke.yaml"],
    ["run", "smoke.yaml", "--set", "model=./nothing"],
]

_FINDINGS = """
from pipelines.checks.findings import Finding, Report
Report([Finding("machine", "disk", "too small", "wrong"), Finding("sft", "rows", "few", "note")]).print()
import sys
from tests.pipelines.run.test_display import STEP
from pipelines.run.display import Display
from pipelines.trainers.base import Progress
display = Display(1)
display.started(STEP, "its command changed")
display.progressed(STEP, Progress(1, 2, {"loss": 1.0}))
display.ended(STEP, 1)
display.close()
"""


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_colours(words: list[str], tmp_path: Path) -> None:
    _, text = show(pipeline(*words), 80, tmp_path, {"NO_COLOR": "1"})
    assert text and COLOUR.findall(text) == []


def test_findings_and_progress(tmp_path: Path) -> None:
    import sys

    from tests import ROOT

    command = [sys.executable, "-c", _FINDINGS]
    status, coloured = show(command, 80, ROOT)
    assert status == 0 and COLOUR.search(coloured), "with colours, there are some"
    _, text = show(command, 80, ROOT, {"NO_COLOR": "1"})
    assert COLOUR.findall(text) == []
