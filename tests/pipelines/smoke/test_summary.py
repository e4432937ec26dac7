"""The printed summary of a smoke."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pipelines.cli import main as cli
from pipelines.recipe.loading import load
from pipelines.run.plan import Machine, make_plan
from pipelines.smoke.changes import Change
from pipelines.smoke.summary import print_passed, render

CHANGES = [
    Change("name", "mine", "mine-smoke"),
    Change("stages.sft.epochs", "2", "steps 4"),
    Change("stages.sft.data.max_rejects", "", "1.0", "examples contain bad rows on purpose"),
    Change("stages.rl.reward", "code_tests", "code_tests and tie_break", "an untrained model has the same score"),
]


def test_changes_are_grouped_by_stage() -> None:
    assert list(render(CHANGES, 200)) == [
        "name: mine -> mine-smoke",
        "sft",
        "  epochs: 2 -> steps 4",
        "  data.max_rejects: 1.0  (examples contain bad rows on purpose)",
        "rl",
        "  reward: code_tests -> code_tests and tie_break  (an untrained model has the same score)",
    ]


def test_lines_fit_a_narrow_terminal() -> None:
    lines = list(render(CHANGES, 40))
    assert max(map(len, lines)) <= 40
    assert " ".join(" ".join(lines).split()) == " ".join(" ".join(render(CHANGES, 200)).split())


def test_plan_prints_the_changes_and_the_run_directory(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["pipeline", "plan", "execverify.yaml", "--smoke"])
    with pytest.raises(SystemExit) as exited:
        cli.main()
    out = capsys.readouterr().out
    assert not exited.value.code
    assert "stage-one.rollout.samples\t8\t2\t\n" in out
    assert f"run       {tmp_path}/runs/execverify-7b-smoke" in out
    assert "would refuse" not in out


def test_end_counts_the_selected_stages(capsys: pytest.CaptureFixture[str]) -> None:
    places = dict.fromkeys(("llamafactory", "verl"), Path("/somewhere"))
    plan = make_plan(load(Path("smoke.yaml")).recipe, Machine("cpu", Path("/python"), places, places), Path("/runs/smoke"))
    print_passed(Path("smoke.yaml"), ["seed=3"], plan, plan.select(last="stage-one"))
    assert capsys.readouterr().out.splitlines() == [
        "smoke: 2 stages ran, from rows to model: /runs/smoke",
        "next: pipeline check smoke.yaml --set seed=3",
    ]
