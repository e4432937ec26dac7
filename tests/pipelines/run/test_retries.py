"""A training that meets a fault is resumed without a user: a toy trainer, real processes and signals."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import StepError
from pipelines.records.steps import StepRecord, read_record
from pipelines.run import process
from pipelines.run.display import Display
from pipelines.run.execute import execute
from pipelines.run.plan import Plan, stage_paths
from tests.pipelines.run.toy import make_toy_plan, use_toy_trainer

KILL = "import os; os.kill(os.getpid(), 9)"


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch) -> None:
    use_toy_trainer(monkeypatch)


def do(plan: Plan) -> StepRecord:
    """Run the first stage of a plan; return the record of its training."""
    try:
        execute(plan, plan.select(last="one"), Display(2))
    finally:
        assert not process.find_processes(plan.directory)
    found = read_record(plan.step("one/train").directory)
    assert found is not None
    return found


def make(directory: Path, faults: dict[int, str], **settings: Any) -> Plan:
    return make_toy_plan(directory, faults={str(step): code for step, code in faults.items()}, steps=4, **settings)


def model(directory: Path) -> float:
    return float((stage_paths(directory, "one").model / "weights").read_text())


def test_a_killed_trainer_is_resumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = do(make(tmp_path, {3: KILL}))
    assert model(tmp_path) == 4.0
    (failure,) = record.failures
    assert (failure.kind, failure.step, failure.checkpoint, failure.resumed) == ("killed", 2, 2, True)
    assert (record.outcome, record.attempts) == ("complete", 2)
    printed = capsys.readouterr().out
    assert "one/train failed at step 2: was killed by signal 9 (the kernel kills" in printed
    assert "; resumes from step 2, retry 1 of 3" in printed and "resumes from the checkpoint at step 2" in printed


def test_several_faults(tmp_path: Path) -> None:
    record = do(make(tmp_path, {1: KILL, 2: "raise KeyError('x')", 4: "import os; os.kill(os.getpid(), 11)"}))
    assert model(tmp_path) == 4.0
    assert [each.kind for each in record.failures] == ["killed", "error", "crash"]


def test_retries_0(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"^one/train was killed by signal 9"):
        do(make(tmp_path, {3: KILL}, retries=0))
    record = read_record(make(tmp_path, {}).step("one/train").directory)
    assert record is not None and [each.resumed for each in record.failures] == [False]


def test_an_error_before_the_first_step_is_not_retried(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"KeyError: 'x' \(not retried: it failed before the first step\)"):
        do(make(tmp_path, {1: "raise KeyError('x')"}))


def test_retries_without_a_checkpoint_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.run.faults.policy._SECONDS", (0.0,))
    plan = make_toy_plan(tmp_path, retries=2)
    train = plan.step("one/train")
    killed = replace(train, launch=replace(train.launch, argv=(sys.executable, "-c", KILL)))
    plan = replace(plan, steps=(killed, *plan.steps[1:]))
    with pytest.raises(StepError, match=r"^one/train was killed .* \(not retried: 2 retries without a new checkpoint\)"):
        do(plan)
    record = read_record(killed.directory)
    assert record is not None and record.attempts == 3


def test_a_hanging_trainer_is_ended_and_resumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = do(make(tmp_path, {3: "time.sleep(100_000)"}, stall_minutes=0.05))
    assert model(tmp_path) == 4.0
    (failure,) = (each for each in record.failures if each.step == 2)
    assert failure.kind == "hang"
    assert failure.reason.startswith("no metric, no line of log and no CPU time for ")
    assert "py-spy" in failure.reason or "stacks-1.txt" in failure.reason


def test_an_incomplete_checkpoint_is_skipped_and_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    do(make(tmp_path, {3: "(folder / 'step-2' / 'state.json').unlink(); " + KILL}))
    assert model(tmp_path) == 4.0
    deleted = "the checkpoint at step 2 is incomplete and was deleted (no state.json): the one at step 1 is used"
    assert deleted in capsys.readouterr().out


def test_a_full_disk_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    free = iter([10, 20])
    monkeypatch.setattr("pipelines.run.training.free_bytes", lambda folder: next(free, 1 << 40))
    full = "(folder / 'step-3').mkdir(); raise OSError(28, 'No space left on device')"
    record = do(make(tmp_path, {3: full}))
    assert model(tmp_path) == 4.0
    assert [(each.kind, each.checkpoint) for each in record.failures] == [("disk", 2)]
    assert "waits for room on the disk: 17 MB are needed in " in capsys.readouterr().out


def test_no_room_in_time_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.run.training.free_bytes", lambda folder: 10)
    full = "raise OSError(28, 'No space left on device')"
    with pytest.raises(
        StepError, match=r"the disk is full: .*\(not retried: no room for 1 s, 17 MB are needed, 0 MB are free\)"
    ):
        do(make(tmp_path, {3: full}, stall_minutes=0.02))
    assert (stage_paths(tmp_path, "one").checkpoints / "step-2").exists(), "the last good checkpoint is untouched"
    monkeypatch.undo()
    use_toy_trainer(monkeypatch)
    do(make(tmp_path, {3: full}, stall_minutes=0.02))
    assert model(tmp_path) == 4.0


def test_a_killed_supervisor_is_a_fault(tmp_path: Path) -> None:
    record = do(make(tmp_path, {3: "import os; os.kill(os.getppid(), 9); time.sleep(100_000)"}))
    assert model(tmp_path) == 4.0
    assert [each.kind for each in record.failures] == ["killed"]
    shutil.rmtree(tmp_path)
