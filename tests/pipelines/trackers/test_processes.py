"""The processes that feed trackers: kills, hanging servers, secrets, and what the user reads. W&B's client is a stand-in."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import psutil
import pytest

from pipelines.trackers import processes
from tests.pipelines.run.toy import make_toy_plan
from tests.pipelines.trackers.killing import STAND_INS, finish, kill_everything, start, wait_until_sent
from tests.pipelines.trackers.runs import make_run, record, write_steps

pytestmark = pytest.mark.slow

KEY = "0123456789abcdefghij0123456789abcdefghij"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of the stand-in's server."""
    folder = tmp_path / "server"
    folder.mkdir()
    monkeypatch.setenv("STAND_IN_FOLDER", str(folder))
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("PYTHONPATH", f"{STAND_INS}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    return folder


def calls(server: Path, stage: str) -> list[object]:
    """Return what the server was sent of a stage's only tracker run."""
    (file,) = server.glob(f"toy-{stage}-*.jsonl")
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_a_run_killed_twice_is_sent_each_step_once(tmp_path: Path, server: Path) -> None:
    directory = tmp_path / "run"
    for step in (3, 8):
        run = start(directory, ["wandb"])
        wait_until_sent(directory, "wandb", step, run)
        kill_everything(run)
    output = finish(start(directory, ["wandb"]))
    for stage in ("one", "two"):
        found = calls(server, stage)
        assert [each for each in found if isinstance(each, int)] == list(range(1, 13))
        assert found[-2:] == ["artifact", "finish"]
    assert "noise" not in output and "warning" not in output
    assert "wandb: https://wandb.example/" in output
    assert "noise on standard output" in (directory / "trackers/wandb/log").read_text(encoding="utf-8")


def test_secrets_are_in_no_file_of_the_run(tmp_path: Path, server: Path) -> None:
    directory = tmp_path / "run"
    (server / "refuses").touch()
    output = finish(start(directory, ["wandb"], steps=2, pause=0.0))
    for path in directory.rglob("*"):
        if path.is_file():
            text = path.read_bytes()
            assert KEY.encode() not in text and b"user:secret" not in text, path
    assert KEY not in output and "secret@" not in output
    assert "(hidden)@wandb.example does not answer" in output


def test_a_refusing_server_is_reported_once_and_sent_everything_by_the_next_run(tmp_path: Path, server: Path) -> None:
    directory = tmp_path / "run"
    (server / "refuses").touch()
    output = finish(start(directory, ["wandb"], pause=0.1))
    assert output.count("wandb is not available") == 1
    assert "warning: wandb: not everything was sent; the next `pipeline run` of this recipe sends the rest" in output
    assert not list(server.glob("*.jsonl"))
    (server / "refuses").unlink()
    assert "warning" not in finish(start(directory, ["wandb"], pause=0.1))
    assert [each for each in calls(server, "two") if isinstance(each, int)] == list(range(1, 13))


def test_a_hanging_server_is_waited_for_no_longer_than_said(
    tmp_path: Path, server: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (server / "hangs").touch()
    monkeypatch.setattr(processes, "_SECONDS", 1.0)
    monkeypatch.setattr(processes, "_SILENT_SECONDS", 0.1)
    directory, lines = make_run(tmp_path / "run"), list[str]()
    record(directory, "one/train", "started")
    write_steps(directory, [1])
    recipe = make_toy_plan(directory).recipe.model_copy(update={"trackers": ["wandb"]})
    with processes.track(recipe, directory, lines.append):
        pass
    assert lines[0] == "sending the rest to wandb (at most 1 s)"
    assert lines[1].startswith("warning: wandb: not everything was sent")
    assert not [each for each in psutil.Process().children() if "pipelines.trackers.feeding" in each.cmdline()]


def test_ctrl_c_ends_the_trackers_too(tmp_path: Path, server: Path) -> None:
    directory = tmp_path / "run"
    run = start(directory, ["wandb"], steps=200)
    wait_until_sent(directory, "wandb", 3, run)
    children = psutil.Process(run.pid).children(recursive=True)
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=60)
    assert run.returncode == 130
    psutil.wait_procs(children, timeout=20)
    assert not [each for each in children if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
    found = calls(server, "one")
    assert found[-1] == "finish"
    steps = [each for each in found if isinstance(each, int)]
    assert steps == list(range(1, len(steps) + 1))


def test_control_characters_of_a_tracker_are_escaped(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.write(write, b"a \x1b[31mline\n")
    os.close(write)
    lines: list[str] = []
    processes._forward(os.fdopen(read, "rb"), lines.append)
    assert "\x1b" not in lines[0] and "line" in lines[0]
