"""Execution of a plan: steps that run, are skipped, re-run or set aside; kills do not change the final model."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.digests import Digests
from pipelines.errors import InputError, StepError
from pipelines.recipe.schema import SftStage
from pipelines.records.holder import hold
from pipelines.records.steps import read_record
from pipelines.run import plan_text, process
from pipelines.run.display import Display
from pipelines.run.execute import execute
from pipelines.run.plan import PROMPTS, Plan, Step, stage_paths
from pipelines.trainers.base import Launch, StagePaths
from tests import ROOT
from tests.pipelines.run.toy import ToyTrainer, make_toy_plan, use_toy_trainer

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch) -> None:
    use_toy_trainer(monkeypatch)


class Watched(Display):
    """Record which steps ran, and why."""

    def __init__(self) -> None:
        super().__init__(4)
        self.ran: dict[str, str] = {}

    def started(self, step, why):  # type: ignore[no-untyped-def]
        super().started(step, why)
        self.ran[step.name] = why


def do(plan: Plan, first: str | None = None, last: str | None = None, *, fresh: bool = False) -> dict[str, str]:
    """Run the plan; return step -> why it ran."""
    display = Watched()
    execute(plan, plan.select(first, last), display, fresh=fresh)
    return display.ran


def model(directory: Path, stage: str) -> float:
    return float((stage_paths(directory, stage).model / "weights").read_text())


def test_complete_run_is_skipped(tmp_path: Path) -> None:
    plan = make_toy_plan(tmp_path)
    assert list(do(plan)) == ["one/train", "one/handover", "two/train", "two/handover"]
    assert (model(tmp_path, "one"), model(tmp_path, "two")) == (3.0, 30.0)
    assert do(plan) == {}


def test_each_step_writes_command_log_and_metrics(tmp_path: Path) -> None:
    do(make_toy_plan(tmp_path))
    train = stage_paths(tmp_path, "one").step("train")
    assert "starts at 0" in (train / "log").read_text()
    assert len(stage_paths(tmp_path, "one").metrics.read_text().splitlines()) == 3
    checkpoints = stage_paths(tmp_path, "one").checkpoints
    for folder in checkpoints.glob("step-*"):
        (folder / "state.json").unlink()
        (folder / "big").unlink()
        folder.rmdir()
    # command.sh is self-contained: in an empty environment it trains again
    subprocess.run([train / "command.sh"], check=True, env={"PATH": os.defpath})
    assert len(list(checkpoints.glob("step-*"))) == 3


def test_verbose_prints_the_logs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = make_toy_plan(tmp_path)
    execute(plan, plan.steps, Display(4, detail="verbose"))
    printed = capsys.readouterr().out.splitlines()
    assert printed.count("starts at 0") == 2
    execute(plan, plan.steps, Display(4, detail="quiet"))
    assert capsys.readouterr().out == ""


def test_only_the_changed_stage_is_re_run(tmp_path: Path) -> None:
    do(make_toy_plan(tmp_path))
    ran = do(make_toy_plan(tmp_path, second_rate=20.0))
    assert ran == {
        "two/train": 'train.json changed: "rate": 10.0, -> "rate": 20.0,',
        "two/handover": "not done yet",
    }
    assert (model(tmp_path, "one"), model(tmp_path, "two")) == (3.0, 60.0)


def test_a_changed_first_stage_re_runs_later_stages(tmp_path: Path) -> None:
    do(make_toy_plan(tmp_path))
    samples = stage_paths(tmp_path, "one").samples
    samples.mkdir()
    ran = do(make_toy_plan(tmp_path, rate=2.0))
    assert list(ran) == ["one/train", "one/handover", "two/train", "two/handover"]
    assert ran["two/train"] == "the model it starts from changed"
    kept = tmp_path / "replaced" / "one-1" / "model" / "weights"
    assert float(kept.read_text()) == 3.0, "earlier results are kept"
    assert (tmp_path / "replaced" / "one-1" / "samples").is_dir() and not samples.exists()


def test_an_unchanged_model_re_runs_no_later_stage(tmp_path: Path) -> None:
    do(make_toy_plan(tmp_path))
    (stage_paths(tmp_path, "one").step("train") / "record.json").unlink()
    assert list(do(make_toy_plan(tmp_path))) == ["one/train", "one/handover"]


def test_a_deleted_model_is_handed_over_again_without_training(tmp_path: Path) -> None:
    plan = make_toy_plan(tmp_path)
    do(plan)
    (stage_paths(tmp_path, "one").model / "weights").unlink()
    stage_paths(tmp_path, "one").model.rmdir()
    assert do(plan) == {"one/handover": "model is missing"}


def test_a_modified_model_is_detected(tmp_path: Path) -> None:
    plan = make_toy_plan(tmp_path)
    do(plan)
    (stage_paths(tmp_path, "one").model / "weights").write_text("999")
    assert do(plan) == {"one/handover": "model was changed after the step"}
    assert model(tmp_path, "one") == 3.0


def test_a_failure_is_one_line_with_the_log_and_keeps_checkpoints(tmp_path: Path) -> None:
    plan = make_toy_plan(tmp_path, fail_at=2)
    with pytest.raises(StepError) as caught:
        do(plan)
    first, *rest = str(caught.value).splitlines()
    assert first == (
        "one/train: a value is not a number: ValueError: the loss is not a number "
        "(not retried: the same error at the same step (1) twice)"
    )
    assert "  | ValueError: the loss is not a number" in rest, "the last lines of the log"
    assert rest[-1].startswith("  whole log: ")
    assert (stage_paths(tmp_path, "one").checkpoints / "step-1").exists()
    assert do_fails(plan) == {"one/train": f"failed: {first}"}


def do_fails(plan: Plan) -> dict[str, str]:
    display = Watched()
    with pytest.raises(StepError):
        execute(plan, plan.steps, display)
    return display.ran


def test_status_0_without_training_is_a_failure(tmp_path: Path) -> None:
    plan = make_toy_plan(tmp_path)
    stage = plan.recipe.stages[0].model_copy(update={"steps": 9})
    plan = Plan(plan.recipe.model_copy(update={"stages": [stage]}), plan.machine, tmp_path, plan.steps[:2])
    with pytest.raises(StepError, match=r"one/train: the toy did not reach step 9\n  \| starts at 0\n  whole log: "):
        do(plan)


def test_from_and_until(tmp_path: Path) -> None:
    plan = make_toy_plan(tmp_path)
    assert plan.find_missing_models("two", None) == ["--from two: stage one before it has no model yet; run it first"]
    assert plan.find_missing_models(None, "one") == []
    assert list(do(plan, last="one")) == ["one/train", "one/handover"]
    assert list(do(make_toy_plan(tmp_path, rate=5.0), first="two")) == ["two/train", "two/handover"]
    with pytest.raises(InputError, match="no stage 'three'; the stages are one, two"):
        plan.select(first="three")
    with pytest.raises(InputError, match="comes after"):
        plan.select(first="two", last="one")


def test_fresh_re_runs_and_keeps_earlier_results(tmp_path: Path) -> None:
    plan = make_toy_plan(tmp_path)
    do(plan)
    assert set(do(plan, fresh=True).values()) == {"--fresh"}
    assert (tmp_path / "replaced" / "two-1" / "model").exists()
    assert do(plan) == {}


@pytest.mark.parametrize(("here", "there"), [("here", "there"), ("hér e", "dort 'ü'")])
def test_a_moved_run_directory_stays_complete(tmp_path: Path, here: str, there: str) -> None:
    do(make_toy_plan(tmp_path / here))
    (tmp_path / here).rename(tmp_path / there)
    assert do(make_toy_plan(tmp_path / there)) == {}


def test_a_second_run_is_refused_with_the_process_id_of_the_first(tmp_path: Path) -> None:
    with hold(tmp_path):
        code = f"from pathlib import Path; from pipelines.records.holder import hold\nwith hold(Path({str(tmp_path)!r})): pass"
        second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert second.returncode != 0
    assert f"in use by another `pipeline run`, process {os.getpid()}" in second.stderr
    with hold(tmp_path):
        pass


def test_plan_reports_reasons(tmp_path: Path) -> None:
    plan = make_toy_plan(tmp_path)
    digests = Digests(tmp_path / "digests.json")
    assert plan_text.find_reasons(plan, list(plan.steps), digests)["one/train"] == "not done yet"
    do(plan)
    assert set(plan_text.find_reasons(plan, list(plan.steps), digests).values()) == {None}
    reasons = plan_text.find_reasons(changed := make_toy_plan(tmp_path, rate=7.0), list(changed.steps), digests)
    assert reasons["one/train"] == 'train.json changed: "rate": 1.0, -> "rate": 7.0,'
    assert reasons["two/train"] == "if one/handover changes its input"


CHILD = """
import sys
from pathlib import Path
import pytest
from pipelines.run.display import Display
from pipelines.errors import Stopped
from pipelines.run.process import signals_as_stopped
from pipelines.run.execute import execute
from tests.pipelines.run.toy import make_toy_plan, use_toy_trainer
with pytest.MonkeyPatch.context() as patch:
    use_toy_trainer(patch)
    try:
        with signals_as_stopped():
            plan = make_toy_plan(Path(sys.argv[1]), steps=6, pause=0.15)
            execute(plan, plan.steps, Display(4))
    except Stopped as stopped:
        sys.exit(128 + stopped.number)
"""


def start_child(directory: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", CHILD, str(directory)], cwd=ROOT)


def wait_for(path: Path, child: subprocess.Popen[bytes]) -> None:
    """Wait until the child has written the path."""
    deadline = time.monotonic() + 120
    while not path.exists():
        assert child.poll() is None, "the child ended early"
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.02)


@pytest.mark.parametrize("seconds", [0.2, 1.1, 2.1])
def test_kill_9_at_any_moment_does_not_change_the_model(tmp_path: Path, seconds: float) -> None:
    child = start_child(tmp_path)
    time.sleep(seconds)
    child.kill()
    child.wait()
    plan = make_toy_plan(tmp_path, steps=6, pause=0.15)
    do(plan)
    assert (model(tmp_path, "one"), model(tmp_path, "two")) == (6.0, 60.0)
    assert do(plan) == {}
    assert not (tmp_path / "replaced").exists(), "nothing was restarted from the beginning"
    process.end_orphans(tmp_path)


def test_a_killed_run_resumes_from_its_last_checkpoint(tmp_path: Path) -> None:
    child = start_child(tmp_path)
    wait_for(stage_paths(tmp_path, "one").checkpoints / "step-2" / "state.json", child)
    child.kill()
    child.wait()
    assert do(make_toy_plan(tmp_path, steps=6, pause=0.15))["one/train"] == "was interrupted"
    log = (stage_paths(tmp_path, "one").step("train") / "log").read_text()
    starts = [int(line.split()[-1]) for line in log.splitlines() if line.startswith("starts at")]
    assert starts[0] == 0 and starts[-1] >= 2
    saved = read_record(make_toy_plan(tmp_path, steps=6, pause=0.15).step("one/train").directory)
    assert saved is not None and saved.attempts == len(starts)


def test_ctrl_c_stops_the_run_which_then_resumes(tmp_path: Path) -> None:
    child = start_child(tmp_path)
    wait_for(stage_paths(tmp_path, "one").checkpoints / "step-1" / "state.json", child)
    child.send_signal(signal.SIGINT)
    assert child.wait() == 130
    do(make_toy_plan(tmp_path, steps=6, pause=0.15))
    assert model(tmp_path, "two") == 60.0


def test_useless_training_is_aborted_with_the_trainers_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def progress(stage: SftStage, paths: StagePaths) -> None:
        if (paths.checkpoints / "step-2").exists():
            raise StepError("its rewards are broken")

    monkeypatch.setattr(ToyTrainer, "progress", staticmethod(progress))
    plan = make_toy_plan(tmp_path, steps=1000, pause=0.1)
    with pytest.raises(StepError) as caught:
        do(plan)
    first, *_, last = str(caught.value).splitlines()
    assert first == "one/train was aborted: its rewards are broken"
    assert last.startswith("  whole log: ")
    steps = len(list(stage_paths(tmp_path, "one").checkpoints.glob("step-*/state.json")))
    assert 2 <= steps < 1000
    assert len(stage_paths(tmp_path, "one").metrics.read_text().splitlines()) == steps


def test_files_outside_the_cache_key_re_run_nothing(tmp_path: Path) -> None:
    def plan(patience: int, rate: float = 1.0) -> Plan:
        made = make_toy_plan(tmp_path, rate=rate)
        train = made.step("one/train")
        text = train.launch.files["train.json"]
        files = {"train.json": f'{{"patience": {patience}, ' + text.lstrip("{ ")}
        patient = replace(train, launch=replace(train.launch, files=files, cache_key_files={"train.json": text}))
        return replace(made, steps=tuple(patient if step is train else step for step in made.steps))

    assert len(do(plan(1))) == 4
    assert do(plan(2)) == {}
    assert "one/train" in do(plan(2, rate=2.0))


def test_notes_on_prompts_are_printed_and_recorded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = make_toy_plan(tmp_path)
    program = (
        "import json, pathlib; pathlib.Path('notes.json').write_text(json.dumps(['one train: 3 of 9 prompts are too long']))"
    )
    launch = Launch(argv=(sys.executable, "-c", program))
    counted = Step(PROMPTS, "count the prompts", None, "llamafactory", tmp_path / "count-prompts", launch)
    plan = replace(plan, steps=(counted, *plan.steps))
    assert next(iter(do(plan))) == PROMPTS
    assert "note: one train: 3 of 9 prompts are too long" in capsys.readouterr().out
    found = read_record(counted.directory)
    assert found is not None and found.notes == ["one train: 3 of 9 prompts are too long"]
    assert PROMPTS in [step.name for step in plan.select(first="two")], "its rows may have changed"


def test_an_optional_step_may_fail(tmp_path: Path) -> None:
    plan = make_toy_plan(tmp_path)
    broken = Step("measure", "measure", None, None, tmp_path / "measure", Launch((sys.executable, "-c", "no")), optional=True)
    checked: list[str] = []
    with_broken = replace(plan, steps=(broken, *plan.steps))
    (warning,) = execute(with_broken, with_broken.steps, Watched(), check=lambda step: checked.append(step.name))
    assert "NameError: name 'no' is not defined" in warning and warning.endswith(f"log: {tmp_path}/measure/log")
    assert model(tmp_path, "two") == 30.0
    assert checked == ["measure", "one/train", "one/handover", "two/train", "two/handover"]
    assert list(do(with_broken)) == ["measure"], "the next run tries again"
