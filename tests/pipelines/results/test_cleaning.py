"""What can be removed: never what a resume or a hand-over needs; finished stages stay finished."""

from __future__ import annotations

import json
import os
import pty
import sys
from pathlib import Path

import pytest

from pipelines.digests import Digests
from pipelines.records.holder import hold
from pipelines.records.steps import StepRecord, write_record
from pipelines.results.cleaning import find_removable, measure
from pipelines.run import skipping
from pipelines.run.plan import Plan, stage_paths
from tests.pipelines.conftest import Call
from tests.pipelines.evaluation.fakes import write_model
from tests.pipelines.results.making import make_run, write_rl_checkpoints


def checkpoints(plan: Plan, stage: str) -> set[str]:
    return {each.name for each in stage_paths(plan.directory, stage).checkpoints.iterdir()}


def found(plan: Plan, *kinds: str) -> dict[str, str]:
    cleaning = find_removable(plan, kinds)  # type: ignore[arg-type]
    return {each.path: each.result for each in cleaning.items}


def test_checkpoints_that_nothing_needs(plan: Plan, call: Call) -> None:
    status, _, err = call("clean", "runs/smoke", "--checkpoints", "--yes")
    assert status == 0, err
    assert checkpoints(plan, "sft") == set(), "the stage is finished"
    assert checkpoints(plan, "stage-one") == {"global_step_2"}, "the stage resumes from the newest"
    assert "kept: stages/stage-one/checkpoints/global_step_2: stage stage-one resumes from it" in err
    assert "finished stages stay finished" in err
    assert not list(plan.directory.rglob(".*.tmp"))


def test_what_is_lost_is_said(plan: Plan) -> None:
    lost = found(plan, "checkpoints")
    assert lost["stages/sft/checkpoints/checkpoint-150"] == "the step can no longer be exported or evaluated"
    assert lost["stages/sft/checkpoints/checkpoint-450"] == "not complete"


def test_a_stage_that_keeps_the_best(tmp_path: Path) -> None:
    plan = make_run(tmp_path, *(f"stages.stage-one.{each}" for each in ("validate_every=1", "save_every=1", "keep_best=true")))
    write_rl_checkpoints(plan, "stage-one", [1, 2, 3])
    cleaning = find_removable(plan, ["checkpoints"])
    assert cleaning.items == []
    assert {Path(each.path).name: each.why for each in cleaning.kept} == {
        "global_step_1": "stage stage-one is not finished, and it may be the best",
        "global_step_2": "stage stage-one is not finished, and it may be the best",
        "global_step_3": "stage stage-one resumes from it",
    }


def test_the_checkpoint_that_waits_for_the_hand_over(tmp_path: Path) -> None:
    plan = make_run(tmp_path)
    write_rl_checkpoints(plan, "stage-one", [1, 2, 3])
    paths = stage_paths(plan.directory, "stage-one")
    write_record(paths.step("train"), StepRecord(command="", inputs={}, outcome="complete"))
    paths.checkpoint.symlink_to("checkpoints/global_step_2")
    cleaning = find_removable(plan, ["checkpoints"])
    assert [Path(each.path).name for each in cleaning.items] == ["global_step_1"]
    assert {Path(each.path).name for each in cleaning.kept} == {"global_step_2", "global_step_3"}


def test_a_finished_stage_without_its_model_is_not_finished(plan: Plan) -> None:
    (stage_paths(plan.directory, "sft").model).rename(plan.directory / "lost")
    assert "stages/sft/checkpoints/checkpoint-300" not in found(plan, "checkpoints")


def test_finished_stages_stay_finished(plan: Plan, call: Call) -> None:
    """By the rules of the next `pipeline run`."""
    digests = Digests(plan.directory / "digests.json")
    for step in plan.steps:
        if step.stage == "sft" and not step.prepares:
            record = StepRecord(
                command=skipping.digest_command(step, plan),
                inputs=skipping.digest_inputs(step, plan, digests),
                outcome="complete",
                outputs=skipping.digest_outputs(step, digests),
                execution_id="1",
            )
            write_record(step.directory, record)
    steps = [plan.step("sft/train"), plan.step("sft/handover")]
    assert [skipping.why_run(step, plan, digests) for step in steps] == [None, None]
    assert call("clean", "runs/smoke", "--checkpoints", "--replaced", "--caches", "--yes")[0] == 0
    assert checkpoints(plan, "sft") == set()
    assert [skipping.why_run(step, plan, digests) for step in steps] == [None, None]


def test_replaced_results_and_caches(plan: Plan, call: Call) -> None:
    directory = plan.directory
    for path in ("replaced/sft-1/model", "evaluations/sft/replaced/mine-1", "stages/sft/train/cache/datasets"):
        (directory / path).mkdir(parents=True)
        (directory / path / "big").write_bytes(b"x" * 100_000)
    write_model(directory / "evaluations" / "stage-one@1" / "model")
    (directory / "evaluations" / "stage-one@1" / "model.source").write_text("0")
    (directory / "stages" / "sft" / ".model.999999999.tmp").mkdir()
    assert set(found(plan, "replaced")) == {"replaced/sft-1", "evaluations/sft/replaced/mine-1"}
    assert set(found(plan, "caches")) == {
        "stages/sft/train/cache",
        "evaluations/stage-one@1/model",
        "stages/sft/.model.999999999.tmp",
    }
    status, out, _ = call("clean", "runs/smoke", "--replaced", "--caches", "--yes", "--json")
    assert status == 0
    result = json.loads(out)
    assert (result["version"], result["removed"]) == (1, True)
    assert result["bytes"] >= 300_000
    for name in (
        "replaced/sft-1",
        "evaluations/sft/replaced/mine-1",
        "stages/sft/train/cache",
        "evaluations/stage-one@1/model",
    ):
        assert not (directory / name).exists()
    assert (directory / "evaluations" / "stage-one@1" / "model.source").exists()
    assert stage_paths(directory, "sft").model.is_dir()


def test_without_an_option_nothing_is_removed(plan: Plan, call: Call) -> None:
    status, out, err = call("clean", "runs/smoke")
    assert status == 0
    assert "stages/sft/checkpoints/checkpoint-150" in out
    assert "choose what to remove: --checkpoints, --replaced, --caches" in err
    assert "checkpoint-150" in checkpoints(plan, "sft")
    status, out, _ = call("clean", "runs/smoke", "--checkpoints", "--dry-run", "--json")
    assert status == 0 and json.loads(out)["removed"] is False
    assert "checkpoint-150" in checkpoints(plan, "sft")


def test_a_run_that_is_held(plan: Plan, call: Call) -> None:
    with hold(plan.directory):
        status, _, err = call("clean", "runs/smoke", "--checkpoints", "--yes")
        assert status == 2
        assert f"runs/smoke is in use by process {os.getpid()}" in err
        assert "checkpoint-150" in checkpoints(plan, "sft")
        assert call("clean", "runs/smoke", "--checkpoints", "--dry-run")[0] == 0


def test_an_evaluation_that_runs_keeps_its_model(plan: Plan) -> None:
    folder = plan.directory / "evaluations" / "stage-one@1"
    write_model(folder / "model")
    (folder / "model.source").write_text("0")
    with hold(folder):
        cleaning = find_removable(plan, ["caches"])
    assert cleaning.items == []
    assert [each.why for each in cleaning.kept] == ["an evaluation uses it"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["runs/smoke", "--yes"], "--yes: choose what to remove: --checkpoints, --replaced, --caches"),
        (["runs/smoke", "--caches"], "nothing was removed; add --yes to remove it, or --dry-run to see it"),
        (["runs/smok", "--caches"], "runs/smok does not exist; did you mean 'smoke'?"),
        (["runs"], "runs is not a run"),
    ],
)
def test_mistakes_are_one_line(
    plan: Plan, call: Call, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.setattr("sys.stdin", open(os.devnull))  # noqa: SIM115, PTH123
    status, _, err = call("clean", *arguments)
    assert status == 2
    assert message in err and err.count("\n") == 1


@pytest.mark.parametrize(("answer", "removed"), [("y\n", True), ("\n", False)])
def test_it_asks_on_a_terminal(plan: Plan, call: Call, monkeypatch: pytest.MonkeyPatch, answer: str, removed: bool) -> None:
    master, slave = pty.openpty()
    os.write(master, answer.encode())
    monkeypatch.setattr(sys, "stdin", os.fdopen(slave))
    status, out, err = call("clean", "runs/smoke", "--checkpoints")
    os.close(master)
    assert status == 0, err
    assert "remove them?" in out + err
    assert ("checkpoint-150" not in checkpoints(plan, "sft")) is removed


def test_files_with_other_names_free_nothing(tmp_path: Path) -> None:
    for name in ("a", "b", "model"):
        (tmp_path / name).mkdir()
    (tmp_path / "a" / "weights").write_bytes(b"x" * 100_000)
    os.link(tmp_path / "a" / "weights", tmp_path / "b" / "weights")
    (tmp_path / "b" / "more").write_bytes(b"x" * 100_000)
    os.link(tmp_path / "b" / "more", tmp_path / "model" / "more")
    sizes = measure([tmp_path / "a", tmp_path / "b"])
    assert sizes[tmp_path / "a"] >= 100_000, "both names go"
    assert sizes[tmp_path / "b"] == 0, "one is the model's"
