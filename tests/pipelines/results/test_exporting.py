"""Exports: any checkpoint of any run, checked, in a folder that appears complete or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.run.plan import Plan, stage_paths
from tests.pipelines.conftest import Call
from tests.pipelines.results.making import finish_stage, make_run, write_sft_checkpoints


def names(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


def read_check(tmp_path: Path) -> dict[str, object]:
    """Return the settings of the last check."""
    found: dict[str, object] = json.loads((tmp_path / "check.json").read_text())
    return found


def hidden(folder: Path) -> list[str]:
    return [each.name for each in folder.rglob(".*.tmp")]


MODEL = {"config.json", "model.safetensors", "tokenizer_config.json", "README.md"}


def test_the_model_of_a_stage(plan: Plan, call: Call, tmp_path: Path) -> None:
    status, out, err = call("export", "runs/smoke", "sft", "-o", "out", "--json")
    assert status == 0, err
    found = json.loads(out)
    assert (found["version"], found["stage"], found["step"]) == (1, "sft", None)
    assert {each["name"] for each in found["files"]} == names(tmp_path / "out") == MODEL
    assert found["folder"] == str(tmp_path / "out")
    settings = read_check(tmp_path)
    assert settings["copy"] is True, "what changes the export does not change the run"
    assert settings["before"] is None, "it was compared with the initial model at the hand-over"
    assert hidden(tmp_path) == []


def test_a_checkpoint_of_a_stage_that_trains(plan: Plan, call: Call, tmp_path: Path) -> None:
    status, _, err = call("export", "runs/smoke", "stage-one", "--step", "2", "-o", "out")
    assert status == 0, err
    assert names(tmp_path / "out") == MODEL
    assert "pipeline chat ./out" in err
    assert read_check(tmp_path)["before"] == str(stage_paths(plan.directory, "sft").model)


@pytest.mark.parametrize("target", [["runs/smoke/sft@150"], ["runs/smoke/sft", "--step", "150"], ["runs/smoke/stages/sft@150"]])
def test_a_checkpoint_by_its_name(plan: Plan, call: Call, tmp_path: Path, target: list[str]) -> None:
    """A checkpoint of LLaMA-Factory is a model folder, besides its optimizer."""
    status, _, err = call("export", *target, "-o", "deep/out")
    assert status == 0, err
    assert "optimizer.pt" not in read_check(tmp_path)
    assert read_check(tmp_path)["exported"] == str(stage_paths(plan.directory, "sft").checkpoints / "checkpoint-150")
    assert "sft@150" in (tmp_path / "deep" / "out" / "README.md").read_text()


def test_adapters_are_merged(call: Call, tmp_path: Path) -> None:
    plan = make_run(tmp_path, "stages.sft.lora={rank: 4}")
    write_sft_checkpoints(plan, "sft", [150])
    status, _, err = call("export", "runs/smoke", "sft", "--step", "150", "-o", "out")
    assert status == 0, err
    assert str(read_check(tmp_path)["exported"]).endswith("/conversion/export"), "what LLaMA-Factory has merged"
    assert read_check(tmp_path)["copy"] is False, "a conversion's files are nowhere else"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["runs/smoke", "sft", "--step", "151"], "stage sft has no checkpoint of step 151; it has checkpoints of 150 and 300"),
        (
            ["runs/smoke", "sft", "--step", "450"],
            "the checkpoint of step 450 is not complete; it has checkpoints of 150 and 300",
        ),
        (["runs/smoke", "stage-one"], "stage stage-one has no model yet; it has checkpoints of 1 and 2"),
        (
            ["runs/smoke"],
            "runs/smoke is not finished: its last stage, stage-two, has no model yet; found: runs/smoke/sft, runs/sm",
        ),
        (["runs/smoke", "sfd"], "has no stage 'sfd'; did you mean 'sft'?"),
        (["runs/smok"], "runs/smok not found; did you mean 'runs/smoke'?"),
        (["runs/smoke/sft@0"], "is the model that the stage starts from"),
        (["runs/smoke/stages/sft/model"], "is not a model of a run; expected a run (runs/x), RUN/STAGE or RUN/STAGE@STEP"),
        (["Qwen/Qwen2.5-7B"], "is not a model of a run"),
        (["runs"], "neither a model (no config.json) nor a run"),
    ],
)
def test_mistakes_are_one_line(plan: Plan, call: Call, tmp_path: Path, arguments: list[str], message: str) -> None:
    status, _, err = call("export", *arguments, "-o", "out")
    assert status == 2
    assert message in err and err.startswith("error: ") and err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_run_of_a_later_version(plan: Plan, call: Call) -> None:
    (plan.directory / "run.json").write_text(json.dumps({"version": 99, "project": "7.0"}))
    status, _, err = call("export", "runs/smoke/sft", "-o", "out")
    assert status == 2
    assert "is a run of a later version 7.0 (layout 99)" in err


def test_a_run_of_version_0_2(plan: Plan, call: Call, tmp_path: Path) -> None:
    (plan.directory / "run.json").unlink()
    status, _, err = call("export", "runs/smoke/sft", "-o", "out")
    assert status == 0, err
    assert names(tmp_path / "out") == MODEL


def test_a_moved_run(plan: Plan, call: Call, tmp_path: Path) -> None:
    plan.directory.rename(tmp_path / "elsewhere")
    status, _, err = call("export", "elsewhere", "stage-one", "--step", "1", "-o", "out")
    assert status == 0, err
    assert read_check(tmp_path)["before"] == str(tmp_path / "elsewhere" / "stages" / "sft" / "model")


def test_the_folder_must_be_missing_or_empty(plan: Plan, call: Call, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("keep")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    assert call("export", "runs/smoke/sft", "-o", "full")[0] == 2
    assert names(tmp_path / "full") == {"mine.txt"}
    assert "file is a file" in call("export", "runs/smoke/sft", "-o", "file")[2]
    assert "cannot be made" in call("export", "runs/smoke/sft", "-o", "file/out")[2]
    assert call("export", "runs/smoke/sft", "-o", "empty")[0] == 0
    assert names(tmp_path / "empty") == MODEL
    status, _, err = call("export", "runs/smoke/sft", "-o", "empty")
    assert status == 2 and "empty is not empty" in err


def test_a_model_that_fails_a_check_is_not_exported(plan: Plan, call: Call, tmp_path: Path) -> None:
    (stage_paths(plan.directory, "sft").checkpoints / "checkpoint-150" / "broken").touch()
    status, _, err = call("export", "runs/smoke", "sft", "--step", "150", "-o", "out")
    assert status == 1
    assert "ended with status 1: handover: its tokenizer does not load" in err
    log = Path(err.rpartition("whole log: ")[2].strip())
    assert "its tokenizer does not load" in log.read_text(), "the log stays"
    log.unlink()
    assert not (tmp_path / "out").exists() and hidden(tmp_path) == []


def test_a_conversion_that_fails(plan: Plan, call: Call, tmp_path: Path) -> None:
    (stage_paths(plan.directory, "stage-one").checkpoints / "global_step_1" / "actor" / "model.safetensors").unlink()
    status, _, err = call("export", "runs/smoke", "stage-one", "--step", "1", "-o", "out")
    assert status == 1
    assert "RuntimeError: no shards" in err.splitlines()[0]
    Path(err.rpartition("whole log: ")[2].strip()).unlink()
    assert not (tmp_path / "out").exists() and hidden(tmp_path) == []


def test_what_a_killed_export_has_left_is_removed(plan: Plan, call: Call, tmp_path: Path) -> None:
    (tmp_path / ".out.999999999.tmp").mkdir()
    (tmp_path / ".other.999999999.tmp").mkdir()
    assert call("export", "runs/smoke/sft", "-o", "out")[0] == 0
    assert hidden(tmp_path) == [".other.999999999.tmp"], "which is not of this export"


def test_a_card_of_an_earlier_export_is_replaced(plan: Plan, call: Call, tmp_path: Path) -> None:
    finish_stage_card = stage_paths(plan.directory, "sft").model / "README.md"
    finish_stage_card.write_text("an old card")
    assert call("export", "runs/smoke/sft", "-o", "out")[0] == 0
    assert "an old card" not in (tmp_path / "out" / "README.md").read_text()


def test_the_last_stage_is_the_default(call: Call, tmp_path: Path) -> None:
    plan = make_run(tmp_path)
    finish_stage(plan, "stage-two")
    status, out, err = call("export", "runs/smoke", "-o", "out", "--json")
    assert status == 0, err
    assert json.loads(out)["stage"] == "stage-two"
