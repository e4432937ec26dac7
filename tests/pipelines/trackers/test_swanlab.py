"""SwanLab's real client, offline; its files are read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.recipe.tracking import Tracker as Options
from pipelines.trackers.base import NOTHING, Samples, TrackedRun
from tests.pipelines.trackers.killing import finish, kill_everything, start, wait_until_sent

pytest.importorskip("swanlab", reason="swanlab is not installed: pip install -e '.[swanlab]'")

from swanlab.proto.swanlab.record.v1.record_pb2 import Record

from pipelines.trackers.log_files import read_records
from pipelines.trackers.swanlab import SwanLab, read_steps

pytestmark = pytest.mark.nightly

OFFLINE = {"name": "swanlab", "offline": True, "project": "p"}


def scalars(records: list[Any], key: str) -> list[int]:
    return [each.scalar.step for each in records if each.HasField("scalar") and each.scalar.key == key]


def test_metrics_samples_figures_and_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    tracked = TrackedRun("0123456789abcdef", "toy/one", "toy-1", tmp_path, {"learning_rate": 1.0})
    client = SwanLab(Options.model_validate(OFFLINE))
    assert client.start(tracked) == NOTHING
    client.log([{"step": step, "loss": 1 / step, "val/mean@4": float("nan")} for step in (1, 2, 4)])
    client.log_samples(Samples(("prompt", "response"), [("p", "<script>")]))
    client.log_figures({"evaluation/gsm8k/pass@1": 0.1})
    client.log_model(Path("/runs/toy/stages/one/model"))
    client.finish(complete=True)
    (file,) = tmp_path.glob("run-*/run-0123456789abcdef.swanlab")
    records = list(read_records(file, Record))
    (begun,) = [each.start for each in records if each.HasField("start")]
    assert (begun.project, begun.name, begun.group, begun.id) == ("p", "toy/one", "toy-1", tracked.id)
    for key in ("loss", "val/mean@4"):
        assert scalars(records, key) == [1, 2, 4]
    assert scalars(records, "evaluation/gsm8k/pass@1") == [4]
    assert {each.media.key for each in records if each.HasField("media")} == {"samples", "model"}
    assert "<script>" in "".join(each.read_text() for each in tmp_path.glob("run-*/media/text/*"))
    assert "learning_rate" in next(tmp_path.glob("run-*/files/config.yaml")).read_text()
    assert not [each for each in records if each.HasField("log")], "the output of the feeding process is not captured"

    data = file.read_bytes()
    torn = data.index(b"val/mean@4", data.rindex(b"loss"))
    file.write_bytes(data[:torn])
    assert (read_steps(tmp_path, tracked.id)["loss"], read_steps(tmp_path, tracked.id)["step"]) == (4, 2)
    again = SwanLab(Options.model_validate(OFFLINE))
    assert again.start(tracked) == 2
    again.log([{"step": 4, "loss": 0.25, "val/mean@4": float("nan")}])
    again.finish(complete=True)
    records = [each for file in sorted(tmp_path.glob("run-*/run-*.swanlab")) for each in read_records(file, Record)]
    for key in ("loss", "val/mean@4", "step"):
        assert scalars(records, key) == [1, 2, 4], "the metrics of a step that a kill has left are not logged again"


def test_a_killed_run_has_each_step_once(tmp_path: Path) -> None:
    for step in (3, 8):
        run = start(tmp_path, [OFFLINE], pause=0.4)
        wait_until_sent(tmp_path, "swanlab", step, run)
        kill_everything(run)
    finish(start(tmp_path, [OFFLINE], pause=0.4))
    stages: dict[str, list[int]] = {}
    for file in sorted((tmp_path / "trackers/swanlab").glob("run-*/run-*.swanlab")):
        records = list(read_records(file, Record))
        for name in {each.start.name for each in records if each.HasField("start")}:
            stages.setdefault(name, []).extend(scalars(records, "loss"))
    assert stages == {"toy/one": list(range(1, 13)), "toy/two": list(range(1, 13))}
