"""Stages and steps: times, how far a training is, records that are damaged."""

from __future__ import annotations

import json
import time
from pathlib import Path

import psutil
import pytest

from pipelines.records.progress import Reached, write_reached
from pipelines.records.runs import open_run
from pipelines.records.steps import read_record
from pipelines.trainers.base import HEADLINES
from pipelines.trainers.llamafactory import trainer as llamafactory
from pipelines.trainers.verl.rl import trainer as verl_rl
from pipelines.trainers.verl.sft import trainer as verl_sft
from tests.pipelines.records.making import hold, make_old, make_run, write_step


def test_time_of_a_step_that_runs(tmp_path: Path) -> None:
    directory = make_run(tmp_path / "mine", "rl/train", "started").directory
    write_step(directory / "stages/rl/train", "started", seconds=1000.0, started=time.time() - 50)
    hold(directory, started=0.0)
    training = open_run(directory).stage("rl").training
    assert training is not None and training.state == "running"
    assert 1049 <= training.seconds < 1100, "the attempts before, and this one"


def test_a_step_of_a_killed_process_does_not_run_yet(tmp_path: Path) -> None:
    """The run was started again, and has not reached the step."""
    directory = make_run(tmp_path / "mine", "rl/train", "started").directory
    write_step(directory / "stages/rl/train", "started", started=psutil.Process().create_time() - 60)
    hold(directory)
    run = open_run(directory)
    assert (run.state, run.current) == ("running", None)
    assert run.stage("rl").state == "interrupted"


def test_time_of_a_step_that_was_killed(tmp_path: Path) -> None:
    """The record lacks the killed attempt; its last progress is known."""
    directory = make_run(tmp_path / "mine", "rl/train", "started").directory
    folder = directory / "stages/rl/train"
    began = int(time.time()) - 5000
    write_step(folder, "started", seconds=1000.0, started=began)
    write_reached(folder, Reached(step=2, total=4, at=began + 70))
    training = open_run(directory).stage("rl").training
    assert training is not None and (training.state, training.seconds) == ("interrupted", 1070.0)
    (folder / "reached.json").unlink()
    assert training.seconds == 1000.0


def test_time_of_a_stage(tmp_path: Path) -> None:
    assert make_run(tmp_path / "mine").stage("sft").seconds == 4 * 61


@pytest.mark.parametrize("old", [False, True])
def test_how_far_a_training_is(tmp_path: Path, old: bool) -> None:
    directory = make_run(tmp_path / "mine", "rl/train", "started").directory
    if old:
        make_old(directory)
    stages = open_run(directory).stages
    sft, rl = (stage.position() for stage in stages)
    assert sft is not None and (sft.step, sft.total, sft.metric, sft.value) == (450, 450, "loss", 10 / 450)
    # Of five rows, the first is the validation before the training, and three are lost.
    assert rl is not None and (rl.step, rl.total, rl.metric) == (1, 4, "reward")
    assert rl.value == 0.2


def test_nothing_is_reached_before_the_first_step(tmp_path: Path) -> None:
    assert make_run(tmp_path / "mine", "sft/prepare").stage("sft").position() is None


def test_a_newest_step_without_loss_shows_the_loss_before(tmp_path: Path) -> None:
    directory = make_old(make_run(tmp_path / "mine").directory)
    with (directory / "stages/sft/metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 451, "eval_loss": 3.0}) + "\n" + '{"step": 452, "lo')
    position = open_run(directory).stage("sft").position()
    assert position is not None and (position.step, position.value) == (451, 10 / 450)


def test_headlines_are_the_first_metrics_that_trainers_show() -> None:
    for key, module in (
        (("sft", "llamafactory"), llamafactory),
        (("sft", "verl"), verl_sft),
        (("rl", "verl"), verl_rl),
    ):
        assert HEADLINES[key] == module._SHOWN[0]


@pytest.mark.parametrize(
    "change",
    [{"notes": "text"}, {"seconds": "long"}, {"attempts": None}, {"inputs": []}, {"outcome": 3}],
    ids=lambda change: next(iter(change)),
)
def test_a_record_with_values_of_other_types_is_no_record(tmp_path: Path, change: dict[str, object]) -> None:
    write_step(tmp_path, "complete")
    found = json.loads((tmp_path / "record.json").read_text())
    assert read_record(tmp_path) is not None
    (tmp_path / "record.json").write_text(json.dumps(found | change))
    assert read_record(tmp_path) is None


def test_a_start_that_is_no_time_is_unknown(tmp_path: Path) -> None:
    directory = make_run(tmp_path / "mine").directory
    path = directory / "stages/sft/train/record.json"
    path.write_text(path.read_text().replace('"started": "', '"started": "about '))
    training = open_run(directory).stage("sft").training
    assert training is not None and (training.started, training.seconds) == (None, 61.0)
