"""A real MLflow server on the loopback interface, started and ended by the tests."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipelines.recipe.tracking import Tracker as Options
from pipelines.trackers.base import NOTHING, Samples, TrackedRun
from tests.pipelines.trackers.killing import finish, kill_everything, start, wait_until_sent

pytest.importorskip("mlflow.server", reason="mlflow's server is not installed: pip install -e '.[test-trackers]'")

from mlflow import MlflowClient

from pipelines.trackers.mlflow import Mlflow

pytestmark = pytest.mark.nightly


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Server:
    """An MLflow server with a database and artifacts in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        argv = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self._port), "--workers", "1"]
        argv += [
            "--backend-store-uri",
            f"sqlite:///{self._folder}/mlflow.db",
            "--artifacts-destination",
            f"{self._folder}/files",
        ]
        with (self._folder / "log").open("ab") as log:
            # Without its consumers of jobs, a dozen processes.
            variables = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
            self._process = subprocess.Popen(
                argv, cwd=self._folder, env=variables, stdout=log, stderr=log, start_new_session=True
            )
        deadline = time.monotonic() + 240
        while True:
            try:
                if httpx.get(f"{self.url}/health").status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.2)

    def stop(self) -> None:
        """End it with its workers."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("mlflow"))
    made.start()
    yield made
    made.stop()


def find_runs(url: str, project: str) -> dict[str, Any]:
    """Return the runs of an experiment by their names."""
    client = MlflowClient(tracking_uri=url)
    experiment = client.get_experiment_by_name(project)
    assert experiment is not None
    return {each.info.run_name: each for each in client.search_runs([experiment.experiment_id])}


def steps(url: str, run: Any, metric: str) -> list[int]:
    return sorted(each.step for each in MlflowClient(tracking_uri=url).get_metric_history(run.info.run_id, metric))


def test_metrics_samples_figures_and_model(server: Server, tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "weights").write_text("weights")
    tracked = TrackedRun("0123456789abcdef", "toy/one", "toy-1", tmp_path, {"learning_rate": 1.0, "long": "x" * 9000})
    client = Mlflow(Options(name="mlflow", url=server.url, project="first", upload_model=True))
    assert client.start(tracked) == NOTHING
    wide = {"val-core/x/mean@4": float("nan"), **dict.fromkeys((f"metric/{number}" for number in range(700)), 1.0)}
    client.log([{"step": step, "loss": 1 / step, **wide} for step in (1, 2, 4)])
    client.log_samples(Samples(("prompt", "response"), [("p", "<script>")]))
    client.log_figures({"evaluation/gsm8k/pass@1": 0.1})
    client.log_model(model)
    client.finish(complete=True)
    runs = find_runs(server.url, "first")
    run = runs["toy/one"]
    assert run.data.tags["mlflow.parentRunId"] == runs["toy-1"].info.run_id, "grouped by run"
    assert run.info.status == "FINISHED"
    assert run.data.params["learning_rate"] == "1.0"
    assert run.data.metrics["evaluation/gsm8k/pass_at_1"] == 0.1
    assert run.data.tags["model"] == str(model)
    for metric in ("loss", "val-core/x/mean_at_4", "metric/699"):
        assert steps(server.url, run, metric) == [1, 2, 4]
    reader = MlflowClient(tracking_uri=server.url)
    table = json.loads(Path(reader.download_artifacts(run.info.run_id, "samples.json", str(tmp_path))).read_text())
    assert table == {"columns": ["prompt", "response"], "data": [["p", "<script>"]]}
    assert [each.path for each in reader.list_artifacts(run.info.run_id, "model")] == ["model/weights"]

    again = Mlflow(Options(name="mlflow", url=server.url, project="first"))
    assert again.start(tracked) == 4
    again.finish(complete=False)
    assert len(find_runs(server.url, "first")) == 2


def test_a_killed_run_has_each_step_once(server: Server, tmp_path: Path) -> None:
    given = [{"name": "mlflow", "url": server.url, "project": "second"}]
    for step in (3, 8):
        run = start(tmp_path, given, pause=0.4)
        wait_until_sent(tmp_path, "mlflow", step, run)
        kill_everything(run)
    finish(start(tmp_path, given, pause=0.4))
    runs = find_runs(server.url, "second")
    assert len(runs) == 3
    for stage in ("toy/one", "toy/two"):
        for metric in ("loss", "val/mean_at_4", "step"):
            assert steps(server.url, runs[stage], metric) == list(range(1, 13))


def test_a_server_that_comes_late_is_sent_everything(tmp_path: Path) -> None:
    late = Server(tmp_path)
    given = [{"name": "mlflow", "url": late.url}]
    output = finish(start(tmp_path / "run", given, steps=4, pause=0.1))
    assert output.count("warning: mlflow is not available") == 1
    assert "127.0.0.1" in output
    late.start()
    try:
        assert "warning" not in finish(start(tmp_path / "run", given, steps=4, pause=0.1))
        runs = find_runs(late.url, "code-post-training")
        assert [steps(late.url, runs[stage], "loss") for stage in ("toy/one", "toy/two")] == [[1, 2, 3, 4]] * 2
    finally:
        late.stop()
