"""Runs as typed values: the shapes of `--json`."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import msgspec
import pytest

from pipelines.records.progress import Reached, write_reached
from pipelines.records.runs import open_run
from pipelines.records.summaries import Metric, RunList, RunStatus, list_runs, show_steps, summarise, summarise_status
from tests.pipelines.records.making import hold, make_old, make_run


def test_a_run_that_is_trained(tmp_path: Path) -> None:
    directory = make_run(tmp_path / "mine", "rl/train", "started").directory
    hold(directory)
    folder = directory / "stages/rl/train"
    write_reached(folder, Reached(step=2, total=4, metrics={"reward": 0.5}, seconds_left=600.0, at=time.time()))
    run = summarise(open_run(directory))
    assert (run.state, run.at, run.step, run.total, run.metric) == (
        "running",
        "rl",
        2,
        4,
        Metric(name="reward", value=0.5),
    )
    assert run.seconds_left is not None and 590 < run.seconds_left <= 600
    assert run.process is not None and run.process.here and run.untrained == ["rl"]


def test_a_run_that_prepares(tmp_path: Path) -> None:
    directory = make_run(tmp_path / "mine", "rl/prepare", "started").directory
    hold(directory)
    shown = Reached(step=450, total=1000, shown="45%, 1,234 records", at=time.time())
    write_reached(directory / "stages/rl/prepare", shown)
    status = summarise_status(open_run(directory))
    assert (status.at, status.step, status.metric) == ("rl/prepare", None, None)
    assert [step.reached for step in status.steps[:3]] == ["", "45%, 1,234 records", ""]


def test_a_run_that_failed(tmp_path: Path) -> None:
    status = summarise_status(make_run(tmp_path / "mine", "rl/export", "failed", reason="rl/export ended with status 1"))
    assert (status.state, status.at, status.reason) == ("failed", "rl/export", "rl/export ended with status 1")
    assert status.model == str(tmp_path / "mine/stages/sft/model"), "the last that was handed over"
    rl = status.stages[1]
    assert (rl.state, rl.step, rl.total, rl.model) == ("failed", 4, 4, None)


def test_a_training_before_its_first_step(tmp_path: Path) -> None:
    directory = make_run(tmp_path / "mine", "sft/train", "started").directory
    for file in ("metrics.jsonl", "train/reached.json"):
        (directory / "stages/sft" / file).unlink()
    run = summarise(open_run(directory))
    assert (run.at, run.step, run.total) == ("sft", None, 450)


def test_a_run_that_has_not_begun(tmp_path: Path) -> None:
    run = summarise(make_run(tmp_path / "mine", "sft/prepare", "started"))
    assert (run.at, run.step, run.total, run.untrained) == ("sft/prepare", None, None, ["sft", "rl"])


@pytest.mark.parametrize("old", [False, True])
def test_the_shape_is_read_back(tmp_path: Path, old: bool) -> None:
    directory = make_run(tmp_path / "mine").directory
    status = summarise_status(open_run(make_old(directory) if old else directory))
    text = msgspec.json.encode(status)
    assert msgspec.json.decode(text, type=RunStatus) == status
    assert json.loads(text)["version"] == 1


def test_a_value_that_is_no_number_is_null(tmp_path: Path) -> None:
    directory = make_run(tmp_path / "mine").directory
    (directory / "stages/sft/train/reached.json").unlink()
    (directory / "stages/sft/metrics.jsonl").write_text('{"step": 450, "loss": NaN}\n')
    for _ in range(2):
        text = msgspec.json.encode(summarise_status(open_run(directory)))
        assert msgspec.json.decode(text, type=RunStatus).stages[0].metric == Metric(name="loss", value=None)
        reached = Reached(step=450, total=450, metrics={"loss": math.nan}, at=time.time())
        write_reached(directory / "stages/sft/train", reached)


def test_a_list_of_runs(tmp_path: Path) -> None:
    make_run(tmp_path / "one")
    later = make_run(tmp_path / "two").directory / "run.json"
    later.write_text('{"version": 99, "project": "9.0"}')
    (tmp_path / "no-run").mkdir()
    (tmp_path / "file").touch()
    found = list_runs(tmp_path)
    assert [each.name for each in found.runs] == ["one"]
    assert found.runs[0].size is not None and found.runs[0].size > 1000
    assert list(found.unreadable) == [str(tmp_path / "two")]
    assert "is a run of a later version 9.0" in found.unreadable[str(tmp_path / "two")]
    assert msgspec.json.decode(msgspec.json.encode(found), type=RunList) == found


def test_steps_in_words() -> None:
    assert [show_steps(1200, 5000), show_steps(3, None)] == ["step 1,200/5,000", "step 3"]
