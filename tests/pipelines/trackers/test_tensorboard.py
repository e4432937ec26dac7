"""TensorBoard's event files, read back with tensorboard."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.recipe.tracking import Tracker as Options
from pipelines.trackers.base import NOTHING, Samples, TrackedRun
from tests.pipelines.trackers.killing import finish, kill_everything, start, wait_until_sent

pytest.importorskip("tensorboard", reason="tensorboard is not installed: pip install -e '.[tensorboard]'")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pipelines.trackers.tensorboard import TensorBoard

pytestmark = pytest.mark.nightly


def tracked(folder: Path) -> TrackedRun:
    return TrackedRun("0123456789abcdef", "toy/one", "toy-1", folder, {"learning_rate": 1.0, "text": "a | b\nc"})


def read(folder: Path) -> EventAccumulator:
    """Read the tracker run of one stage."""
    (run,) = folder.iterdir()
    events = EventAccumulator(str(run), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    return events


def test_metrics_samples_figures_and_model(tmp_path: Path) -> None:
    writer = TensorBoard(Options(name="tensorboard"))
    assert writer.start(tracked(tmp_path)) == NOTHING
    writer.log([{"step": step, "loss": 1 / step, "val/mean@4": float("nan")} for step in (1, 2, 4)])
    writer.log_samples(Samples(("prompt", "response"), [("p", "```\n<script>alert(1)</script>")]))
    writer.log_figures({"evaluation/gsm8k/pass@1": 0.1})
    writer.log_model(Path("/runs/toy/stages/one/model"))
    writer.finish(complete=True)
    events = read(tmp_path / "one")
    assert [(each.step, each.value) for each in events.Scalars("loss")] == [(1, 1.0), (2, 0.5), (4, 0.25)]
    assert [each.value for each in events.Scalars("evaluation/gsm8k/pass@1")] == pytest.approx([0.1])
    texts = {tag: events.Tensors(tag)[0].tensor_proto.string_val[0].decode() for tag in events.Tags()["tensors"]}
    assert "| learning_rate | 1.0 |" in texts["configuration"]
    assert "a \\| b c" in texts["configuration"]
    assert texts["samples"].count("```") == 2, "a response cannot end its block"
    assert "/runs/toy/stages/one/model" in texts["model"]


def test_a_torn_record_is_logged_again(tmp_path: Path) -> None:
    writer = TensorBoard(Options(name="tensorboard"))
    writer.start(tracked(tmp_path))
    writer.log([{"step": step, "loss": 1.0} for step in (1, 2, 3)])
    (file,) = (tmp_path / "one" / "0123456789abcdef").iterdir()
    with file.open("r+b") as data:
        data.truncate(file.stat().st_size - 5)
    second = TensorBoard(Options(name="tensorboard"))
    assert second.start(tracked(tmp_path)) == 2
    second.log([{"step": 3, "loss": 1.0}])
    second.log_figures({"evaluation": 0.1})
    second.finish(complete=True)
    third = TensorBoard(Options(name="tensorboard"))
    assert third.start(tracked(tmp_path)) == 3
    third.log_figures({"evaluation": 0.1})
    third.finish(complete=True)
    events = read(tmp_path / "one")
    assert [each.step for each in events.Scalars("loss")] == [1, 2, 3]
    assert [each.step for each in events.Scalars("evaluation")] == [3]


def test_a_killed_run_has_each_step_once(tmp_path: Path) -> None:
    for step in (3, 8):
        run = start(tmp_path, ["tensorboard"])
        wait_until_sent(tmp_path, "tensorboard", step, run)
        kill_everything(run)
    finish(start(tmp_path, ["tensorboard"]))
    for stage in ("one", "two"):
        events = read(tmp_path / "trackers/tensorboard" / stage)
        for tag in ("loss", "val/mean@4"):
            assert [each.step for each in events.Scalars(tag)] == list(range(1, 13))
