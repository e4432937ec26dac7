"""What identifies a run and a training: kept when they resume or move, new for a training from the beginning."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.errors import InputError, StepError
from pipelines.records.manifest import FILE, read_manifest
from pipelines.records.steps import read_record
from pipelines.run.description import describe_run
from pipelines.run.display import Display
from pipelines.run.execute import execute
from pipelines.run.plan import Plan
from tests.pipelines.run.toy import make_toy_plan, use_toy_trainer


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch) -> None:
    use_toy_trainer(monkeypatch)


def training_ids(plan: Plan, *, fresh: bool = False) -> list[str]:
    """Run the plan; return the ids of both trainings."""
    execute(plan, plan.steps, Display(4), fresh=fresh)
    found = [read_record(plan.step(f"{name}/train").directory) for name in ("one", "two")]
    return [each.training_id for each in found if each is not None]


def test_each_training_from_the_beginning_has_an_id(tmp_path: Path) -> None:
    first = training_ids(make_toy_plan(tmp_path))
    assert len(set(first)) == 2 and all(first)
    assert training_ids(make_toy_plan(tmp_path)) == first, "skipped"
    one, two = training_ids(make_toy_plan(tmp_path, second_rate=20.0))
    assert one == first[0] and two not in first
    assert not set(training_ids(make_toy_plan(tmp_path, second_rate=20.0), fresh=True)) & {one, two}


def test_a_resumed_training_keeps_its_id(tmp_path: Path) -> None:
    plan = make_toy_plan(tmp_path, fail_at=2, retries=0)
    found = []
    for _ in range(2):
        with pytest.raises(StepError):
            execute(plan, plan.steps, Display(4))
        record = read_record(plan.step("one/train").directory)
        assert record is not None
        found.append((record.training_id, record.attempts))
    assert found[0][0] == found[1][0] != ""
    assert [attempts for _, attempts in found] == [1, 2]


def test_only_trainings_have_one(tmp_path: Path) -> None:
    plan = make_toy_plan(tmp_path)
    training_ids(plan)
    record = read_record(plan.step("one/handover").directory)
    assert record is not None and record.training_id == ""


def test_metrics_without_a_checkpoint_are_set_aside(tmp_path: Path) -> None:
    plan = make_toy_plan(tmp_path, fail_at=1)
    with pytest.raises(StepError):
        execute(plan, plan.steps, Display(4))
    plan.paths("one").metrics.write_text('{"step": 1, "loss": 1}\n')
    training_ids(make_toy_plan(tmp_path, rate=2.0))
    assert (tmp_path / "replaced" / "one-1" / "metrics.jsonl").read_text() == '{"step": 1, "loss": 1}\n'
    assert len(plan.paths("one").metrics.read_text().splitlines()) == 3


def test_a_run_has_one_id(tmp_path: Path) -> None:
    plan = make_toy_plan(tmp_path / "a")
    (tmp_path / "a").mkdir()
    ids = []
    for _ in range(2):
        describe_run(plan, plan.steps, [], smoke=False)
        ids.append(getattr(read_manifest(tmp_path / "a"), "id", ""))
    moved = (tmp_path / "a").rename(tmp_path / "b")
    describe_run(make_toy_plan(moved), plan.steps, [], smoke=False)
    ids.append(getattr(read_manifest(moved), "id", ""))
    assert len(set(ids)) == 1 and ids[0]


def test_a_run_of_a_later_version_is_not_described_again(tmp_path: Path) -> None:
    plan = make_toy_plan(tmp_path)
    (tmp_path / FILE).write_text('{"version": 99, "project": "9.0.0"}')
    with pytest.raises(InputError, match="is a run of a later version 9"):
        describe_run(plan, plan.steps, [], smoke=False)
    assert "99" in (tmp_path / FILE).read_text()
