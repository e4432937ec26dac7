"""W&B's real client, offline; its files are read back."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.recipe.tracking import Tracker as Options
from pipelines.trackers.base import NOTHING, Samples, TrackedRun
from tests.pipelines.trackers.killing import finish, kill_everything, start, wait_until_sent

pytest.importorskip("wandb.proto", reason="wandb is not installed: pip install -e '.[wandb]'")

from wandb.proto.wandb_internal_pb2 import Record

from pipelines.trackers.log_files import read_records
from pipelines.trackers.wandb import Wandb, find_last_step, read_step

pytestmark = pytest.mark.nightly

OFFLINE = {"name": "wandb", "offline": True, "project": "p"}


def records(folder: Path) -> list[Any]:
    """Return the records of all offline runs in a folder, in order."""
    return [each for file in sorted(folder.glob("wandb/offline-run-*/run-*.wandb")) for each in read_records(file, Record)]


def history(found: list[Any]) -> list[dict[str, Any]]:
    """Return the logged steps."""
    rows = []
    for each in found:
        if each.HasField("history"):
            items = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in each.history.item}
            rows.append(items | {"step": read_step(each.history)})
    return rows


@pytest.fixture
def tracked(tmp_path: Path) -> TrackedRun:
    return TrackedRun("0123456789abcdef", "toy/one", "toy-1", tmp_path, {"learning_rate": 1.0, "data.source": "rows"})


def test_metrics_samples_figures_and_model(tmp_path: Path, tracked: TrackedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdefghij0123456789abcdefghij")
    model = tmp_path / "model"
    model.mkdir()
    (model / "weights").write_text("weights")
    client = Wandb(Options.model_validate(OFFLINE))
    assert client.start(tracked) == NOTHING
    client.log([{"step": step, "loss": 1 / step, "val/mean@4": 1.0} for step in (1, 2, 4)])
    client.log_samples(Samples(("prompt", "response"), [("p", "\ud800r".encode("utf-8", "replace").decode())]))
    client.log_figures({"evaluation/gsm8k/pass@1": 0.1})
    client.log_model(model)
    client.finish(complete=True)
    found = records(tmp_path)
    assert [(row["step"], row["loss"], row["val/mean@4"]) for row in history(found)] == [(1, 1, 1), (2, 0.5, 1), (4, 0.25, 1)]
    (run,) = [each.run for each in found if each.HasField("run")][:1]
    assert (run.run_id, run.project, run.run_group, run.display_name) == (tracked.id, "p", "toy-1", "toy/one")
    configured = {item.key: json.loads(item.value_json) for item in run.config.update}
    assert configured["learning_rate"] == 1.0 and configured["data.source"] == "rows"
    summary = {
        item.key or "/".join(item.nested_key): json.loads(item.value_json)
        for each in found
        if each.HasField("summary")
        for item in each.summary.update
    }
    assert summary["evaluation/gsm8k/pass@1"] == 0.1
    assert summary["samples"]["_type"] == "table-file"
    artifacts = [each.request.log_artifact.artifact if each.HasField("request") else each.artifact for each in found]
    (logged,) = [each for each in artifacts if each.type == "model"]
    assert [entry.path for entry in logged.manifest.contents] == ["model/weights"]
    assert [entry.ref for entry in logged.manifest.contents] == [(model / "weights").as_uri()], "a reference, not a copy"
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or b"0123456789abcdefghij" not in file.read_bytes(), f"{file} has the key"


def test_a_torn_file_ends_before_the_torn_record(tmp_path: Path, tracked: TrackedRun) -> None:
    client = Wandb(Options.model_validate(OFFLINE))
    client.start(tracked)
    client.log([{"step": step, **{f"metric/{number}": 0.1 for number in range(100)}} for step in range(1, 41)])
    client.finish(complete=True)
    (file,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    data = file.read_bytes()
    assert len(data) > 2 * 32768, "records cross blocks"
    assert find_last_step(tmp_path, tracked.id) == 40
    for size in (0, 3, 7, 10, 40_000, len(data) - 3000):
        file.write_bytes(data[:size])
        last = find_last_step(tmp_path, tracked.id)
        assert last == NOTHING if size <= 10 else 0 < last < 41
    assert find_last_step(tmp_path, "another") == NOTHING


def test_a_killed_run_has_each_step_once(tmp_path: Path) -> None:
    for step in (3, 8):
        run = start(tmp_path, [OFFLINE], pause=0.4)
        wait_until_sent(tmp_path, "wandb", step, run)
        kill_everything(run)
    finish(start(tmp_path, [OFFLINE], pause=0.4))
    stages: dict[str, list[float]] = {}
    for file in sorted((tmp_path / "trackers/wandb").glob("wandb/offline-run-*/run-*.wandb")):
        found = list(read_records(file, Record))
        # A run that was killed at its start has an empty file.
        for name in {each.run.display_name for each in found if each.HasField("run")}:
            stages.setdefault(name, []).extend(row["step"] for row in history(found))
    assert stages == {"toy/one": list(range(1, 13)), "toy/two": list(range(1, 13))}


def test_the_reader_needs_the_real_package() -> None:
    assert "stand_ins" not in str(sys.modules["wandb"].__file__)


def test_a_server_that_does_not_answer_is_tried_again(
    tmp_path: Path, tracked: TrackedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipelines.trackers.wandb._SECONDS", 2.0)
    monkeypatch.setenv("WANDB_API_KEY", "0123456789abcdefghij0123456789abcdefghij")
    client = Wandb(Options(name="wandb", url="http://127.0.0.1:9"))
    for _ in range(2):
        with pytest.raises(Exception, match=r"deadline|timed out|refused|respond"):
            client.start(tracked)
