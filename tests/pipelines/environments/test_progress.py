"""Progress of builds, and the downloads that uv reports."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pipelines.environments import Environment
from pipelines.environments.pins import pin
from pipelines.environments.progress import Downloads, show_phases
from tests.pipelines.run.test_display import run_on_terminal

ENVIRONMENT = Environment(pin("verl"), "cpu", Path("python"), "pinned")


def test_downloads_are_summarized() -> None:
    downloads = Downloads()
    assert downloads.describe("Resolved 3 packages in 600ms") == "Resolved 3 packages in 600ms"
    assert downloads.describe("Downloading torch (183.0MiB)") == "downloading torch (183.0MiB)"
    for name in "abc":
        summary = downloads.describe(f"Downloading {name} (1.0MiB)")
    assert summary == "downloading torch (183.0MiB), a (1.0MiB), b (1.0MiB) and 1 more"
    for name in ("torch", "a", "b"):
        summary = downloads.describe(f" Downloaded {name}")
    assert summary == "downloading c (1.0MiB); 3 large files done"
    assert downloads.describe(" + numpy==2.4.6") is None


def test_a_log_gets_one_line_per_phase(capsys: pytest.CaptureFixture[str]) -> None:
    with show_phases(ENVIRONMENT, sys.stderr) as phases:
        phases.expect(2)
        phases.start("downloading")
        phases.update("downloading torch (183.0MiB)")
        phases.start("installing")
        phases.end("ready in 3 s")
    assert capsys.readouterr().err.splitlines() == ["verl cpu: downloading", "verl cpu: installing", "verl cpu: ready in 3 s"]


SCRIPT = """
import sys, time
from pipelines.environments.progress import show_phases
from pipelines.run.display import Display
from pipelines.trainers.base import Progress as Reached
from tests.pipelines.environments.test_progress import ENVIRONMENT
from tests.pipelines.run.test_display import STEP
display = Display(12)
with show_phases(ENVIRONMENT, sys.stdout, display) as phases:
    display.started(STEP, "not done yet")
    phases.expect(5)
    phases.start("creating the [bold] environment")
    display.progressed(STEP, Reached(3, 30, {"loss": 6.98, "lr": 0.003}))
    time.sleep(0.3)
    phases.start("installing 206 packages")
    phases.update("downloading [/nothing] torch (183.0MiB), a (1.0MiB), b (1.0MiB) and 1 more")
    time.sleep(0.3)
    phases.end("ready in 45 s, 3.1 GB")
display.ended(STEP, 61)
display.close()
"""


@pytest.mark.parametrize("columns", [80, 200])
def test_a_terminal_shows_the_step_and_the_builds(columns: int) -> None:
    lines = [line.rstrip() for line in run_on_terminal(SCRIPT, columns).splitlines()]
    assert any("sft/train" in line and "3/30" in line for line in lines)
    assert any("verl cpu" in line and "1/5" in line and "creating the [" in line for line in lines)
    assert any("verl cpu" in line and "2/5" in line and "downloading" in line for line in lines)
    assert "✓ verl cpu  ready in 45 s, 3.1 GB" in lines
    assert max(map(len, lines)) <= columns
