"""`pipeline stop`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.cli.runs import stop
from tests.pipelines.conftest import Call
from tests.pipelines.records.making import hold, make_run, write_step

# A run that ends a moment after the signal, as one that ends its trainer does.
RUN = """
import pathlib, sys, time
from pipelines.records.holder import hold
from pipelines.run.process import signals_as_stopped
with signals_as_stopped(), hold(pathlib.Path(sys.argv[1])):
    try:
        print("ready", flush=True)
        time.sleep(1000)
    finally:
        time.sleep(0.5)
        print("ended", flush=True)
"""


def test_a_run_is_stopped(here: Path, call: Call) -> None:
    directory = make_run(here / "runs" / "mine", "rl/train", "started").directory
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(directory)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    code, _, err = call("stop", "mine")
    out, trace = process.communicate()
    assert (code, out) == (0, "ended\n")
    assert "Stopped: SIGINT" in trace
    first, second, third = err.splitlines()
    assert first == f"stopping process {process.pid} …"
    assert second.startswith("stopped after 0:0") and second.endswith(": interrupted at rl, step 1/4, reward 0.2")
    assert third == "resume with: pipeline run mine.yaml"


def test_nothing_runs(here: Path, call: Call) -> None:
    assert call("stop", "whole") == (0, "", "runs/whole: nothing runs; it is complete\n")
    code, out, err = call("stop", "whole", "--json")
    expected = {"version": 1, "directory": "runs/whole", "stopped": False, "state": "complete"}
    assert (code, err, json.loads(out) | {"resume": ""}) == (0, "", expected | {"resume": ""})


def test_a_run_of_another_host(here: Path, call: Call) -> None:
    hold(here / "runs/whole", pid=7, host="elsewhere")
    message = "error: runs/whole is held by process 7 of elsewhere; run `pipeline stop` on elsewhere\n"
    assert call("stop", "whole") == (2, "", message)


def test_a_process_that_does_not_end(here: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    ignores = "import signal, time; signal.signal(2, signal.SIG_IGN); print('ready', flush=True); time.sleep(1000)"
    process = subprocess.Popen([sys.executable, "-c", ignores], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    write_step(here / "runs/whole/stages/rl/train", "started")
    (here / "runs/whole/owner").write_text(f"{process.pid}\n")
    monkeypatch.setattr(stop, "_LONGEST", 0.2)
    code, _, err = call("stop", "whole")
    process.kill()
    process.communicate()
    assert code == 1 and f"error: process {process.pid} has not ended after 0 s; `kill -9 {process.pid}` ends it" in err
