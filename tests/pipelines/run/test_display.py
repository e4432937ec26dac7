"""The display of a run: plain lines in a file, a bar on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.console.progress import TimeLeft, format_seconds
from pipelines.run.display import Display
from pipelines.run.plan import Step
from pipelines.trainers.base import Launch, Progress
from tests import ROOT

STEP = Step("sft/train", "train sft with llamafactory", "sft", "llamafactory", Path(), Launch(("true",)))


def test_format_seconds() -> None:
    assert [format_seconds(s) for s in (0, 59.6, 61, 3725)] == ["0:00", "1:00", "1:01", "1:02:05"]


def test_time_left_follows_the_pace() -> None:
    clock = iter([0.0, 10.0, 12.0])
    left = TimeLeft(lambda: next(clock))
    assert left.estimate(5, 20) is None, "the first update has no pace"
    assert left.estimate(10, 20) == 20.0
    assert left.estimate(10, 20) == 18.0, "time passes between steps"


def test_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    display = Display(2)
    display.started(STEP, "not done yet")
    display.progressed(STEP, Progress(1, 30, {"loss": 6.98, "lr": 0.003}))
    display.progressed(STEP, Progress(2, 30, {"loss": 6.1, "lr": 0.003}))
    display.ended(STEP, 61)
    display.skipped(STEP)
    assert capsys.readouterr().out.splitlines() == [
        "[1/2] sft/train: train sft with llamafactory (not done yet)",
        "[1/2] sft/train: step 1/30  loss 6.98  lr 0.003",
        "[1/2] sft/train: done in 1:01",
        "[2/2] sft/train: done before",
    ]


def test_progress_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    display = Display(2, sys.stderr)
    display.started(STEP, "not done yet")
    display.progressed(STEP, Progress(450, 1000, {}, "45%, 1,234 records"))
    printed = capsys.readouterr()
    assert (printed.out, printed.err.splitlines()[1]) == ("", "[1/2] sft/train: 45%, 1,234 records")


SCRIPT = """
import time
from tests.pipelines.run.test_display import STEP
from pipelines.run.display import Display
from pipelines.trainers.base import Progress
display = Display(12)
display.started(STEP, "train.yaml changed: learning_rate: 1.0e-06 -> learning_rate: 2.0e-06")
for step in (1, 2, 3):
    display.progressed(STEP, Progress(step, 30, {"loss": 6.98, "lr": 0.003, "eval_loss": 1.0}))
    time.sleep(0.15)
display.ended(STEP, 61)
display.close()
"""


@pytest.mark.parametrize("columns", [80, 200])
def test_bar_fits_the_terminal(columns: int) -> None:
    lines = run_on_terminal(SCRIPT, columns).splitlines()
    assert any("3/30" in line and "loss 6.98" in line for line in lines)
    assert ("lr 0.003" in "\n".join(lines)) == (columns == 200), "a narrow terminal shows only the first metric"
    bars = [line for line in lines if "/30" in line]
    assert all(len(line.rstrip()) <= columns for line in bars)


def run_on_terminal(code: str, columns: int, *, plain: bool = True) -> str:
    """Return the output of a program on a terminal of this width; plain: without colours and movements."""
    import re

    master, slave = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "LINES": "24", "TERM": "xterm-256color"}
    with subprocess.Popen([sys.executable, "-c", code], stdout=slave, stdin=slave, env=environment, cwd=ROOT) as child:
        os.close(slave)
        output = b""
        while True:
            try:
                output += os.read(master, 65536)
            except OSError:  # closed by the child
                break
        assert child.wait() == 0
    os.close(master)
    if not plain:
        return output.decode()
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output.decode()).replace("\r", "\n")


def test_quiet_prints_warnings_only(capsys: pytest.CaptureFixture[str]) -> None:
    display = Display(2, detail="quiet")
    display.skipped(STEP)
    display.started(STEP, "not done yet")
    display.progressed(STEP, Progress(1, 30, {"loss": 6.98}))
    display.say("  note: 3 rows were dropped")
    display.failed(STEP, "no vLLM")
    display.ended(STEP, 61)
    assert capsys.readouterr().out == "[2/2] sft/train: warning: no vLLM\n"


def test_verbose_prints_the_log_as_it_grows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    step = replace(STEP, directory=tmp_path)
    (tmp_path / "log").write_text("an earlier attempt\n")
    display = Display(1, detail="verbose")
    display.started(step, "not done yet")
    with (tmp_path / "log").open("a") as log:
        log.write(" 10%|#\r100%|##\n\x1b[31mloss 1\x1b[0m\nlo\x07ss")
    display.polled()
    with (tmp_path / "log").open("a") as log:
        log.write(" 2")
    display.polled(ended=True)
    display.ended(step, 1)
    assert capsys.readouterr().out.splitlines()[1:] == ["100%|##", "loss 1", "lo\\x07ss 2", "[1/1] sft/train: done in 0:01"]
