"""`pipeline run --detach` and `notify`, with real processes; the steps fail at once, for their Python has no trainer."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import ROOT

PIPELINE = Path(sys.executable).with_name("pipeline")

RECIPE = """
name: toy
model: {make: qwen2}
hardware: {platform: cpu}
environments: {llamafactory: PYTHON}
notify: {command: [sh, -c, "cat > status.json; echo $PIPELINE_STATE $PIPELINE_REASON > state"]}
stages:
  - name: sft
    kind: sft
    data: {train: {converter: programs_execution, source: DATA}, validation: {fraction: 0.1}}
    steps: 1
    learning_rate: 1.0
"""


PYTHON = """#!/bin/sh
case "$1" in
-c) echo '[[3, 11, 0], "0.9.5"]' ;;
*) echo "KeyError: no trainer" >&2; exit 1 ;;
esac
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe whose rows are prepared, and whose trainer answers that it is there, and fails."""
    python = tmp_path / "python"
    python.write_text(PYTHON)
    python.chmod(0o755)
    text = RECIPE.replace("PYTHON", str(python)).replace("DATA", str(ROOT / "recipes/data/programs.py"))
    (tmp_path / "toy.yaml").write_text(text)
    return tmp_path / "toy.yaml"


def run(recipe: Path, *options: str) -> subprocess.CompletedProcess[str]:
    argv = [str(PIPELINE), "run", recipe.name, *options]
    return subprocess.run(argv, cwd=recipe.parent, capture_output=True, text=True)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 120
    while not path.exists() or not path.read_text():
        assert time.monotonic() < deadline, f"no {path}"
        time.sleep(0.05)


def test_a_failed_run_is_notified(recipe: Path) -> None:
    done = run(recipe)
    assert done.returncode == 1, done.stderr
    assert (recipe.parent / "state").read_text() == "failed model ended with status 1: KeyError: no trainer\n"
    assert json.loads((recipe.parent / "status.json").read_text())["name"] == "toy"


def test_detached(recipe: Path) -> None:
    done = run(recipe, "--detach")
    assert done.returncode == 0, done.stderr
    printed = done.stdout + done.stderr
    assert "runs in the background as process " in printed and "its output: runs/toy/terminal.log" in printed
    assert "  pipeline status runs/toy --watch" in printed and "  pipeline stop runs/toy" in printed
    wait_for(recipe.parent / "state")
    log = recipe.parent / "runs" / "toy" / "terminal.log"
    deadline = time.monotonic() + 120
    while "more: pipeline status" not in log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "resume with: pipeline run toy.yaml\n" in log.read_text(), "without --detach, as it was started"


def test_a_mistake_is_printed_before(recipe: Path) -> None:
    done = run(recipe, "--detach", "--set", "notify.command=[no-such-program]")
    assert done.returncode == 2
    assert done.stderr.endswith(": no-such-program is not on PATH; expected a program and its arguments\n")
    assert done.stderr.count("\n") == 1 and "notify.command" in done.stderr
    assert not (recipe.parent / "runs").exists()


def test_a_run_in_use_is_refused_and_not_notified(recipe: Path) -> None:
    code = "import sys, time\nfrom pathlib import Path\nfrom pipelines.records.holder import hold\n"
    code += "with hold(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    argv = [sys.executable, "-c", code, str(recipe.parent / "runs" / "toy")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        done = run(recipe, "--detach")
        holder.communicate()
    assert done.returncode == 2
    assert "is in use by another `pipeline run`" in done.stderr and done.stderr.startswith("error: ")
    assert not (recipe.parent / "state").exists()
