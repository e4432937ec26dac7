"""Start the toy chain with trackers, and kill all of its processes at once."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from pipelines.trackers.sent import read_sent
from tests import ROOT

STAND_INS = Path(__file__).with_name("stand_ins")


def start(
    directory: Path,
    trackers: Sequence[object],
    *,
    steps: int = 12,
    pause: float = 0.2,
) -> subprocess.Popen[str]:
    """Start the chain, two stages of `steps` steps, or resume it."""
    argv = [
        sys.executable,
        "-m",
        "tests.pipelines.trackers.toy_run",
        str(directory),
        json.dumps(trackers),
        str(steps),
        str(pause),
    ]
    return subprocess.Popen(
        argv,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(run: subprocess.Popen[str]) -> str:
    """Wait until the chain is complete; return what it printed."""
    output, _ = run.communicate(timeout=300)
    assert run.returncode == 0, output
    return output


def kill_everything(run: subprocess.Popen[str]) -> None:
    """Kill the run, its trackers, its trainer and whatever they started."""
    processes = [psutil.Process(run.pid), *psutil.Process(run.pid).children(recursive=True)]
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=30)
    run.communicate(timeout=30)


def wait_until_sent(directory: Path, tracker: str, step: int, run: subprocess.Popen[str]) -> None:
    """Wait until a tracker was sent a step; on a busy machine the whole chain may be complete by then."""
    deadline = time.monotonic() + 200
    while True:
        found = [sent for file in (directory / "trackers" / tracker).glob("*.json") if (sent := read_sent(file))]
        if any(sent.step is not None and sent.step >= step for sent in found):
            return
        if run.poll() not in (None, 0) or time.monotonic() > deadline:
            kill_everything(run)
            log = (directory / "trackers" / tracker / "log").read_text(encoding="utf-8")
            raise AssertionError(f"{tracker} was not sent step {step}:\n{log[-3000:]}")
        time.sleep(0.05)
