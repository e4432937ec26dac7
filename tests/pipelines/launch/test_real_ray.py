"""Recipes on a real Ray cluster on loopback."""

from __future__ import annotations

import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from pipelines.environments.ask import AskError
from pipelines.errors import InputError
from pipelines.launch.ray.client import Client, check
from pipelines.records.runs import open_run
from pipelines.records.submission import read_submission
from pipelines.run import process
from tests import ROOT
from tests.pipelines.launch.making import make_job
from tests.pipelines.launch.test_real_slurm import RECIPE

pytestmark = pytest.mark.nightly

PIPELINE = str(Path(sys.executable).with_name("pipeline"))


@pytest.fixture(scope="module")
def client(trainer_python: Callable[[str], Path]) -> Iterator[Client]:
    """Start the head of a cluster that asks for its token."""
    python = trainer_python("verl")
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp") as folder, pytest.MonkeyPatch.context() as patch:
        token = Path(folder, "token")
        token.write_text(secrets.token_hex(32), encoding="utf-8")
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
        dashboard, port = _free_port(), _free_port()
        options = [f"--port={port}", "--node-ip-address=127.0.0.1", f"--dashboard-port={dashboard}", f"--temp-dir={folder}"]
        options += ["--dashboard-host=127.0.0.1", "--num-gpus=1"]
        sizes = ["--num-cpus=4", "--object-store-memory=100000000", "--disable-usage-stats", "--block"]
        head = subprocess.Popen(
            [str(python), "-m", "ray.scripts.scripts", "start", "--head", *options, *sizes],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        found = Client(f"http://127.0.0.1:{dashboard}", str(python))
        try:
            _wait_for_agent(found)
            yield found
        finally:
            started = [head, *psutil.Process(head.pid).children(recursive=True)] if head.poll() is None else []
            head.send_signal(signal.SIGTERM)
            try:
                head.wait(60)
            finally:
                for each in started:
                    if isinstance(each, psutil.Process) and each.is_running():
                        each.kill()


def _wait_for_agent(client: Client) -> None:
    deadline = time.monotonic() + 300
    while True:
        with suppress(AskError):
            client.ask("submit", entrypoint="true")
            return
        assert time.monotonic() < deadline, "the dashboard does not answer"
        time.sleep(1)


def _free_port() -> int:
    """Return a free port that is not one of Ray's workers."""
    while True:
        with socket.socket() as each:
            each.bind(("127.0.0.1", 0))
            port = int(each.getsockname()[1])
        if port > 20000:
            return port


def call(*arguments: str, folder: Path) -> tuple[int, str, str]:
    done = subprocess.run([PIPELINE, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def write(folder: Path, client: Client, *, steps: int = 1) -> None:
    text = RECIPE.replace("steps: 2000", f"steps: {steps}").replace("slurm: {partition: main,", "slurm: {")
    text = text.replace("launch:\n", f"launch:\n  ray: {{address: '{client.address}', setup: [export SET_UP=yes]}}\n")
    (folder / "mine.yaml").write_text(text)


def test_a_recipe_is_submitted_followed_and_finished(client: Client, environments: None, tmp_path: Path) -> None:
    write(tmp_path, client)
    directory = tmp_path / "runs" / "mine"
    try:
        status, out, err = call("submit", "mine.yaml", "--to", "ray", "--follow", folder=tmp_path)
        assert status == 0, out + err
        assert "submitted runs/mine: Ray job raysubmit_" in out and "sft/train: done" in out
        assert open_run(directory).state == "complete"
        job = read_submission(directory)
        assert job is not None and job.address == client.address
        assert f"Ray job {job.id} of {client.address}" in "".join(call("status", "mine", folder=tmp_path)[1:])
    finally:
        process.end_orphans(directory)


def test_pipeline_stop_ends_a_submitted_run(client: Client, environments: None, tmp_path: Path) -> None:
    write(tmp_path, client, steps=100_000)
    directory = tmp_path / "runs" / "mine"
    try:
        status, out, err = call("submit", "mine.yaml", "--to", "ray", folder=tmp_path)
        assert status == 0, out + err
        deadline = time.monotonic() + 600
        while not (directory / "owner").exists():
            assert time.monotonic() < deadline, "the run has not started"
            time.sleep(0.2)
        status, _, err = call("submit", "mine.yaml", "--to", "ray", folder=tmp_path)
        assert status == 2 and "is in use by process" in err
        status, out, err = call("stop", "mine", folder=tmp_path)
        assert status == 0, err
        assert "stopping Ray job" in err and ": interrupted" in err
        assert "resume with: pipeline submit mine.yaml --to ray" in err
        assert not process.find_processes(directory)
    finally:
        process.end_orphans(directory)


def test_a_file_that_a_node_lacks(client: Client, environments: None, tmp_path: Path) -> None:
    """The node's Python is found; one of the paths is not."""
    job = make_job(runs=tmp_path, nodes=1, verl=client.python, import_path=str(ROOT))
    with pytest.raises(InputError, match=f"^node .* has no {tmp_path}/missing, which this machine has; use a file system"):
        check(client, "mine.yaml:3", job, [tmp_path, tmp_path / "missing"])
    with pytest.raises(InputError, match=r"^node .* has no /missing/python, which this machine has"):
        check(client, "mine.yaml:3", make_job(verl="/missing/python"), [])
    with pytest.raises(InputError, match=r"^mine.yaml:3: hardware.nodes is 2; the Ray cluster has 1$"):
        check(client, "mine.yaml:3", make_job(verl=client.python, import_path=str(ROOT)), [])


def test_an_address_that_does_not_answer(client: Client, environments: None, tmp_path: Path) -> None:
    write(tmp_path, client)
    address = f"http://127.0.0.1:{_free_port()}"
    option = f"launch.ray.address={address}"
    status, out, err = call("submit", "mine.yaml", "--to", "ray", "--set", option, folder=tmp_path)
    assert (status, out) == (2, "")
    assert err.startswith(f"error: --set launch.ray.address: {address} does not answer as a Ray dashboard: ")
    assert err.count("\n") == 1
    assert [each.name for each in tmp_path.iterdir()] == ["mine.yaml"]
