"""`notify`: a program gets the state of a run, and cannot harm it."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import psutil
import pytest

from pipelines.run.notification import notify, why_not_callable
from tests.pipelines.records.making import make_run

SAVE = """
import json, os, sys
state = {name: os.environ[f"PIPELINE_{name}"] for name in ("STATE", "NAME", "DIRECTORY", "REASON")}
json.dump([state, json.load(sys.stdin)], open("FILE", "w"))
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    make_run(tmp_path / "runs" / "toy")
    return tmp_path / "runs" / "toy"


def test_it_gets_the_state(tmp_path: Path, directory: Path) -> None:
    code = SAVE.replace("FILE", str(tmp_path / "state"))
    assert notify([sys.executable, "-c", code], directory, "failed", "one/train was killed\nand more") is None
    variables, status = json.loads((tmp_path / "state").read_text())
    assert variables == {"STATE": "failed", "NAME": "toy", "DIRECTORY": str(directory), "REASON": "one/train was killed"}
    assert status["version"] == 1 and {"state", "steps", "stages", "reason"} <= status.keys()


def test_its_failure_is_one_line(directory: Path) -> None:
    assert (
        notify([sys.executable, "-c", "raise SystemExit(3)"], directory, "complete") == f"{sys.executable} ended with status 3"
    )
    assert notify(["/no/such/program"], directory, "complete") == "/no/such/program: No such file or directory"
    assert notify([sys.executable, "-c", "print('sent')"], directory, "complete") is None
    assert "sent" in (directory / "notify.log").read_text()


def test_a_program_that_does_not_end_is_killed_with_its_children(tmp_path: Path, directory: Path) -> None:
    file = tmp_path / "child"
    code = f"import os, time\nif (child := os.fork()): open({str(file)!r}, 'w').write(str(child))\ntime.sleep(600)"
    assert notify([sys.executable, "-c", code], directory, "complete", seconds=5) == (
        f"{sys.executable} has not ended after 5 s and was killed"
    )
    child, deadline = int(file.read_text()), time.monotonic() + 60
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("sh", None),
        ("/bin/sh", None),
        ("no-such-program", "no-such-program is not on PATH"),
        ("/no/such/program", "/no/such/program does not exist"),
        (__file__, f"{__file__} is not executable"),
    ],
)
def test_what_can_be_called(program: str, reason: str | None) -> None:
    assert why_not_callable([program, "argument"]) == reason
