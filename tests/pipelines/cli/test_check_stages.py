"""`pipeline check --smoke/--from/--until`: only the selected stages are checked, and the next command has the same options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.checks import upstreams
from tests.pipelines.conftest import Call


@pytest.fixture(autouse=True)
def _no_trainers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not ask the trainers; their answers have tests of their own."""
    monkeypatch.setattr(upstreams, "find_built", lambda _: None)


def about(out: str) -> set[str]:
    """Return what the findings are about."""
    return {line.split("\t")[0] for line in out.splitlines() if "\t" in line} & {"sft", "stage-one", "stage-two"}


CPU = ("--set", "hardware.platform=cpu", "--sample", "1")


@pytest.mark.parametrize(
    ("options", "stages"),
    [
        (("--until", "sft"), {"sft"}),
        (("--from", "stage-two"), {"stage-two"}),
        (("--from", "stage-one", "--until", "stage-one"), {"stage-one"}),
        (("--stage", "stage-one"), {"stage-one"}),
    ],
    ids=" ".join,
)
def test_only_the_selected_stages(options: tuple[str, ...], stages: set[str], call: Call) -> None:
    status, out, err = call("check", "smoke.yaml", *options, *CPU)
    assert status == 0
    assert about(out) == stages
    same = options if len(options) == 2 else ("--stage", options[1])
    assert err.splitlines()[-1].endswith(f"pipeline run smoke.yaml --set hardware.platform=cpu {' '.join(same)}")
    disk = next(line for line in out.splitlines() if "\tdisk\t" in line)
    assert {name for name in ("sft", "stage-one", "stage-two") if f"{name} " in disk} == stages


def test_missing_models_of_earlier_stages_are_notes(call: Call, tmp_path: Path) -> None:
    _, out, _ = call("check", "smoke.yaml", "--from", "stage-two", *CPU)
    assert "machine\tmodel of stage-one\tnote: not there yet; run this stage first" in out
    assert "model of sft" not in out, "stage-two starts from stage-one"
    (tmp_path / "runs/smoke/stages/stage-one/model").mkdir(parents=True)
    _, out, _ = call("check", "smoke.yaml", "--from", "stage-two", *CPU)
    assert "model of stage-one" not in out


def test_an_unknown_stage(call: Call) -> None:
    status, _, err = call("check", "smoke.yaml", "--from", "stage-three", *CPU)
    assert (status, err) == (2, "error: no stage 'stage-three'; the stages are sft, stage-one, stage-two\n")


def test_a_smoke_needs_no_data(call: Call) -> None:
    """The recipe's own check reports missing rows; that of its smoke does not."""
    status, out, err = call("check", "execverify.yaml", "--smoke", "--until", "sft", "--sample", "1")
    assert status == 0
    assert "smoke of execverify-7b" in out + err
    assert err.splitlines()[-1].endswith("pipeline run execverify.yaml --until sft --smoke")


def test_options_of_recipes_are_refused_for_sets(call: Call) -> None:
    status, _, err = call("check", "humaneval", "--smoke")
    assert status == 2
    assert err == "error: humaneval is an evaluation set; --smoke, --from, --until and --stage are for recipes\n"


def test_the_stages_of_a_trainer_that_is_not_asked(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr(upstreams, "make_question", lambda plan, stage: asked.append(stage.name))
    call("check", "smoke.yaml", "--until", "sft", *CPU)
    assert asked == ["sft"]
