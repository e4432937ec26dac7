"""Trackio's real client with its local database, which is read back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import ROOT
from tests.pipelines.trackers.killing import finish, kill_everything, start, wait_until_sent

pytest.importorskip("trackio", reason="trackio is not installed: pip install -e '.[trackio]'")

READ = """
import json, sys
from trackio.sqlite_storage import SQLiteStorage
runs = SQLiteStorage.get_runs("code-post-training")
found = {run: SQLiteStorage.get_logs("code-post-training", run) for run in runs}
configs = {run: SQLiteStorage.get_run_config("code-post-training", run) for run in runs}
print(json.dumps({"logs": found, "configs": configs}, default=str))
"""

LOG = """
import sys
from pathlib import Path
from pipelines.recipe.tracking import Tracker as Options
from pipelines.trackers.base import Samples, TrackedRun
from pipelines.trackers.trackio import Trackio

pytestmark = pytest.mark.nightly
folder = Path(sys.argv[1])
(folder / "one/model").mkdir(parents=True, exist_ok=True)
(folder / "one/model/weights").write_text("weights")
client = Trackio(Options(name="trackio"))
first = client.start(TrackedRun("0123456789abcdef", "toy/one", "toy-1", folder, {"learning_rate": 1.0}))
client.log([{"step": step, "loss": 1 / step, "val/mean@4": 1.0} for step in (1, 2, 4) if step > first])
if first < 1:
    client.log_samples(Samples(("prompt", "response"), [("p", "<script>")]))
    client.log_figures({"evaluation/gsm8k/pass@1": 0.1})
    client.log_model(folder / "one/model")
client.finish(complete=True)
print("first", first)
"""


@pytest.fixture
def _database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "database"))


def run(code: str, *arguments: str) -> str:
    """Run code in a process of its own: Trackio reads its folder when it is imported."""
    done = subprocess.run([sys.executable, "-c", code, *arguments], cwd=ROOT, env=os.environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def read() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(READ).splitlines()[-1])
    return found


def steps(logs: list[dict[str, Any]], key: str) -> list[int]:
    return [each["step"] for each in logs if key in each]


@pytest.mark.usefixtures("_database")
def test_metrics_samples_figures_and_model(tmp_path: Path) -> None:
    assert "first -1.0" in run(LOG, str(tmp_path))
    assert "first 4.0" in run(LOG, str(tmp_path))
    found = read()
    ((name, logs),) = found["logs"].items()
    assert name == "toy/one-01234567"
    for key in ("loss", "val/mean@4"):
        assert steps(logs, key) == [1, 2, 4]
    assert steps(logs, "evaluation/gsm8k/pass@1") == steps(logs, "samples") == [4]
    assert found["configs"][name]["learning_rate"] == 1.0 and found["configs"][name]["_Group"] == "toy-1"


@pytest.mark.usefixtures("_database")
def test_a_killed_run_has_each_step_once(tmp_path: Path) -> None:
    for step in (3, 8):
        child = start(tmp_path / "run", ["trackio"], pause=0.4)
        wait_until_sent(tmp_path / "run", "trackio", step, child)
        kill_everything(child)
    finish(start(tmp_path / "run", ["trackio"], pause=0.4))
    found = {name.rpartition("-")[0]: steps(logs, "loss") for name, logs in read()["logs"].items()}
    assert found == {"toy/one": list(range(1, 13)), "toy/two": list(range(1, 13))}
