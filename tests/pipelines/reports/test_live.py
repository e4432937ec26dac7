"""The report that is written during a run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pipelines.errors import InputError, StepError
from pipelines.recipe.loading import load
from pipelines.records.holder import hold
from pipelines.reports.live import LiveReport
from pipelines.reports.report import Report
from pipelines.run.display import Display
from pipelines.run.execute import execute
from pipelines.run.plan import Machine, Plan, make_plan
from tests.pipelines.reports.making import make_run
from tests.pipelines.run.toy import make_toy_plan, use_toy_trainer


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_it_is_written_now_and_then(tmp_path: Path, clock: Clock) -> None:
    live = LiveReport(make_run(tmp_path / "toy"), clock)
    live.update()
    assert not live.path.exists(), "the recipe does not ask for it"
    live.begin(print)
    live.path.unlink()
    clock.time += 29
    live.update()
    assert not live.path.exists()
    clock.time += 2
    live.update()
    assert live.path.exists()


def test_a_slow_report_is_written_less_often(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    live = LiveReport(make_run(tmp_path / "toy"), clock)
    written = []

    def write(self: Report, path: Path, *, fsync: bool) -> None:
        clock.time += 2
        written.append(clock.time)

    monkeypatch.setattr(Report, "write", write)
    live.begin(print)
    for _ in range(1000):
        clock.time += 0.5
        live.update()
    assert len(written) == 3, "2 s of 200 s"


def test_a_failure_stops_nothing_and_is_said_once(tmp_path: Path, clock: Clock) -> None:
    said: list[str] = []
    with LiveReport(tmp_path / "missing", clock) as live:
        live.begin(said.append)
        clock.time += 40
        live.update()
    assert len(said) == 1 and "report.html is not written: " in said[0]


def test_the_state_in_the_page(tmp_path: Path) -> None:
    run = make_run(tmp_path / "toy")
    with LiveReport(run) as live, hold(run):
        live.begin(print)
        assert "reload for the newest" in live.path.read_text()
    assert "reload for the newest" not in live.path.read_text()
    assert list(run.glob(".report*")) == []


def test_the_end_of_a_run_that_fails(tmp_path: Path) -> None:
    run = make_run(tmp_path / "toy")
    with pytest.raises(StepError), LiveReport(run) as live, hold(run):
        live.begin(print)
        live.path.unlink()
        raise StepError("the training failed")
    assert live.path.exists()


def test_a_run_that_is_in_use_is_left_alone(tmp_path: Path) -> None:
    run = make_run(tmp_path / "toy")
    with hold(run), pytest.raises(InputError), LiveReport(run) as live, hold(run):
        live.begin(print)
    assert not (run / "report.html").exists()


def test_it_is_updated_while_a_command_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_toy_trainer(monkeypatch)
    plan, called = make_toy_plan(tmp_path, pause=0.5), []
    execute(plan, plan.steps[:1], Display(1), watch=lambda: called.append(True))
    assert called


def test_the_key_re_runs_nothing(tmp_path: Path) -> None:
    def plan(*sets: str) -> Plan:
        python = Path(sys.executable)
        machine = Machine(
            "cpu", python, dict.fromkeys(("llamafactory", "verl"), python), dict.fromkeys(("llamafactory", "verl"), tmp_path)
        )
        return make_plan(load(Path("smoke.yaml"), sets).recipe, machine, tmp_path)

    assert plan("report=live").recipe.report == "live"
    assert plan("report=live").steps == plan().steps
