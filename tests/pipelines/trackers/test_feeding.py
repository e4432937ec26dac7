"""Feeding a tracker from a run directory: each step once, whatever is killed, missing or trained again."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from pipelines.records.holder import hold
from pipelines.records.samples import Sample
from pipelines.trackers.sent import read_sent
from pipelines.trainers.base import StagePaths
from pipelines.trainers.samples import write_samples
from tests.pipelines.evaluation.making import evaluation
from tests.pipelines.trackers.runs import Kept, feed, make_feeder, make_run, record, steps_of, write_steps


@pytest.fixture
def server() -> dict[str, list[tuple[str, Any]]]:
    return {}


def test_a_complete_stage_is_sent_whole_and_once(tmp_path: Path, server: dict[str, Any]) -> None:
    run = make_run(tmp_path)
    write_steps(run, range(1, 6))
    record(run, "one/train", "complete")
    record(run, "one/handover", "complete")
    assert feed(run, Kept(server))
    (calls,) = server.values()
    steps = [("step", step) for step in range(1, 6)]
    assert calls == [("start", "toy/one"), *steps, ("model", "model"), ("finish", True)]
    assert feed(run, Kept(server))
    assert len(calls) == 8, "there was nothing more to send"


def test_a_running_stage_is_sent_as_it_grows(tmp_path: Path, server: dict[str, Any]) -> None:
    run = make_run(tmp_path)
    feeder = make_feeder(run, Kept(server))
    record(run, "one/train", "started")
    pauses: list[float] = []

    def wait(seconds: float) -> bool:
        pauses.append(seconds)
        if len(pauses) in (1, 2, 3):
            write_steps(run, range(len(pauses) * 10, len(pauses) * 10 + 3))
        return len(pauses) > 4

    assert feeder.feed(wait)
    (calls,) = server.values()
    assert steps_of(calls) == [10, 11, 12, 20, 21, 22, 30, 31, 32]
    assert [what for what, _ in calls].count("start") == 1
    assert calls[-1] == ("finish", False), "it was stopped before its end"
    assert pauses[0] == 0 and pauses[1] > 0


def test_a_stage_that_was_stopped_resumes_its_tracker_run(tmp_path: Path, server: dict[str, Any]) -> None:
    run = make_run(tmp_path)
    record(run, "one/train", "started")
    write_steps(run, range(1, 4))
    feed(run, Kept(server))
    write_steps(run, range(4, 6))
    record(run, "one/train", "complete")
    record(run, "one/handover", "complete")
    feed(run, Kept(server))
    (calls,) = server.values()
    assert steps_of(calls) == [1, 2, 3, 4, 5]
    assert calls[-1] == ("finish", True)


def test_a_stage_trained_again_is_another_tracker_run(tmp_path: Path, server: dict[str, Any]) -> None:
    run = make_run(tmp_path)
    for training in ("first", "second"):
        (run / "stages/one/metrics.jsonl").unlink(missing_ok=True)
        record(run, "one/train", "complete", training)
        write_steps(run, range(1, 4))
        feed(run, Kept(server))
    assert [steps_of(calls) for calls in server.values()] == [[1, 2, 3], [1, 2, 3]]


def test_a_moved_run_keeps_its_tracker_run(tmp_path: Path, server: dict[str, Any]) -> None:
    run = make_run(tmp_path / "a")
    record(run, "one/train", "started")
    write_steps(run, [1, 2])
    feed(run, Kept(server))
    moved = run.rename(tmp_path / "b")
    write_steps(moved, [3])
    feed(moved, Kept(server))
    assert [steps_of(calls) for calls in server.values()] == [[1, 2, 3]]


@pytest.mark.parametrize(("logged", "written"), [(5, 3), (3, 5), (0, 5)])
def test_the_tracker_knows_better_than_the_file(tmp_path: Path, server: dict[str, Any], logged: int, written: int) -> None:
    """A kill between a step and its cursor, or of steps that a client held in memory."""
    run = make_run(tmp_path)
    record(run, "one/train", "started")
    write_steps(run, range(1, written + 1))
    feed(run, Kept(server))
    (calls,) = server.values()
    calls[:] = [("step", step) for step in range(1, logged + 1)]
    write_steps(run, range(written + 1, 9))
    feed(run, Kept(server))
    assert steps_of(calls) == list(range(1, logged + 1)) + list(range(max(logged, 0) + 1, 9))


def test_without_an_answer_the_cursor_counts(tmp_path: Path, server: dict[str, Any]) -> None:
    run = make_run(tmp_path)
    record(run, "one/train", "started")
    write_steps(run, [1, 2])
    feed(run, Kept(server, answers=False))
    write_steps(run, [3])
    feed(run, Kept(server, answers=False))
    assert [steps_of(calls) for calls in server.values()] == [[1, 2, 3]]


def test_a_tracker_that_is_not_available_is_reported_once_and_sent_everything_later(
    tmp_path: Path, server: dict[str, Any]
) -> None:
    run, tracker, lines = make_run(tmp_path), Kept(server), list[str]()
    record(run, "one/train", "started")
    tracker.broken = True
    feeder = make_feeder(run, tracker, lines)
    pauses: list[float] = []

    def wait(seconds: float) -> bool:
        pauses.append(seconds)
        write_steps(run, [len(pauses)])
        tracker.broken = len(pauses) in (1, 2, 3, 6)
        return len(pauses) > 8

    assert feeder.feed(wait)
    (calls,) = server.values()
    assert steps_of(calls) == list(range(1, 10))
    line, address = lines
    assert address == "wandb: tracker.example"
    assert line.startswith("warning: wandb is not available: ") and line.endswith("the run continues, it is sent later")
    assert "more" not in line
    assert pauses[1] < pauses[2] < pauses[3], "it is tried less and less often"
    assert pauses[4] < pauses[3], "and as before when it answers"


def test_an_unavailable_tracker_at_the_end_is_a_failure_that_loses_nothing(tmp_path: Path, server: dict[str, Any]) -> None:
    run, tracker = make_run(tmp_path), Kept(server)
    write_steps(run, [1, 2])
    record(run, "one/train", "complete")
    tracker.broken = True
    assert not feed(run, tracker)
    tracker.broken = False
    assert feed(run, tracker)
    assert [steps_of(calls) for calls in server.values()] == [[1, 2]]


def test_a_tracker_run_that_was_not_ended_is_ended_by_the_next_run(tmp_path: Path, server: dict[str, Any]) -> None:
    run = make_run(tmp_path)
    write_steps(run, [1, 2])
    for step in ("train", "handover", "evaluate"):
        record(run, f"one/{step}", "complete")
    tracker = Kept(server)

    def fail(*, complete: bool) -> None:
        raise TimeoutError("not everything was sent")

    tracker.finish = fail  # type: ignore[method-assign]
    assert not feed(run, tracker)
    assert feed(run, Kept(server))
    (calls,) = server.values()
    assert calls[-1] == ("finish", True) and steps_of(calls) == [1, 2]
    assert [what for what, _ in calls].count("model") == 3, "it may not have arrived"


def test_stages_follow_each_other(tmp_path: Path, server: dict[str, Any]) -> None:
    run = make_run(tmp_path, ("one", "two"))
    feeder, turns = make_feeder(run, Kept(server)), iter(range(5))
    record(run, "one/train", "started")
    write_steps(run, [1, 2])

    def wait(_: float) -> bool:
        turn = next(turns)
        if turn == 1:
            record(run, "one/train", "complete")
            record(run, "one/handover", "complete")
            record(run, "two/train", "started")
            write_steps(run, [1], "two")
        return turn == 3

    feeder.feed(wait)
    one, two = server.values()
    assert one[-1] == ("finish", True) and two[-1] == ("finish", False)
    assert (steps_of(one), steps_of(two)) == ([1, 2], [1])


def test_a_stage_that_was_stopped_is_closed_before_another_is_opened(tmp_path: Path, server: dict[str, Any]) -> None:
    run = make_run(tmp_path, ("one", "two"))
    record(run, "one/train", "started")
    write_steps(run, [1, 2])
    record(run, "two/train", "started")
    write_steps(run, [1], "two")
    turns = iter(range(5))
    with hold(run):
        assert make_feeder(run, Kept(server)).feed(lambda _: next(turns) == 3)
    one, two = server.values()
    assert one == [("start", "toy/one"), ("step", 1), ("step", 2), ("finish", False)]
    assert two == [("start", "toy/two"), ("step", 1), ("finish", False)]


def test_evaluations_and_samples(tmp_path: Path, server: dict[str, Any]) -> None:
    run = make_run(tmp_path)
    write_steps(run, [1])
    evaluation(run / "evaluations/base", {"gsm8k": {"a": [0.0], "b": [0.0]}})
    evaluation(run / "stages/one/evaluate", {"gsm8k": {"a": [1.0], "b": [0.0]}})
    for step in ("evaluate", "one/train", "one/handover", "one/evaluate"):
        record(run, step, "complete")
    sample = Sample(
        split="train", step=1, source="s", row="r", group=0, number=0, prompt="p", response="r", score=1.0, tokens=1
    )
    write_samples(StagePaths(run / "stages/one").samples, "train", 1, [sample], 1)
    feed(run, Kept(server))
    (calls,) = server.values()
    found = dict(calls)
    assert found["samples"] == 1
    assert found["figures"]["evaluation_before/gsm8k/pass@1"] == 0.0
    assert found["figures"]["evaluation/gsm8k/pass@1"] == 0.5
    assert found["figures"]["evaluation/gsm8k/pass@1/low"] < 0.5 < found["figures"]["evaluation/gsm8k/pass@1/high"]
    feed(run, Kept(server))
    assert [what for what, _ in calls].count("figures") == 1

    shutil.rmtree(run / "stages/one/evaluate/gsm8k")
    evaluation(run / "stages/one/evaluate", {"gsm8k": {"a": [1.0], "b": [1.0]}})
    feed(run, Kept(server))
    assert dict(calls)["figures"]["evaluation/gsm8k/pass@1"] == 1.0, "a new evaluation is sent"
    assert [what for what, _ in calls].count("samples") == 1


def test_another_project_is_sent_everything(tmp_path: Path, server: dict[str, Any]) -> None:
    run = make_run(tmp_path)
    write_steps(run, [1, 2])
    for step in ("train", "handover", "evaluate"):
        record(run, f"one/{step}", "complete")
    feed(run, Kept(server))
    feed(run, Kept(server), project="code-post-training")
    assert len(server) == 1, "that is the default"
    feed(run, Kept(server), project="b")
    first, second = server.values()
    assert first == second and steps_of(first) == [1, 2]
    feed(run, Kept(server), project="b", upload_model=True)
    assert [what for what, _ in second].count("model") == 2, "the model is sent again"
    assert steps_of(second) == [1, 2]


def test_damaged_cursors_are_asked_for_again(tmp_path: Path, server: dict[str, Any]) -> None:
    run = make_run(tmp_path)
    record(run, "one/train", "started")
    write_steps(run, [1, 2])
    feed(run, Kept(server))
    (file,) = (run / "trackers/wandb").glob("*.json")
    file.write_text("{", encoding="utf-8")
    assert read_sent(file) is None
    feed(run, Kept(server))
    assert [steps_of(calls) for calls in server.values()] == [[1, 2]]
