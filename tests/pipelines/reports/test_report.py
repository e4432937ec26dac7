"""The data of a page, from run directories in all states."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from pipelines.errors import InputError
from pipelines.evaluation.steps import STEP
from pipelines.records.manifest import StepEntry, write_manifest
from pipelines.records.steps import write_record
from pipelines.reports import charts, report
from pipelines.reports.embedding import to_script_json
from pipelines.reports.page import Page, Picture
from pipelines.reports.rendering import render
from pipelines.reports.report import MOST_RUNS, Report
from pipelines.trainers.base import StagePaths
from pipelines.trainers.samples import write_samples
from tests.pipelines.evaluation.making import evaluation
from tests.pipelines.reports.making import RL, SFT, make_manifest, make_record, make_run, rl_rows, sample, write_metrics


def topic(page: Page, stage: int, name: str) -> list[Picture]:
    return next((each.pictures for each in page.curves.stages[stage].topics if each.name == name), [])


def test_a_finished_run(tmp_path: Path) -> None:
    page = Report([make_run(tmp_path / "toy")]).read()
    (run,) = page.runs
    assert (run.name, run.state, run.command) == ("toy", "complete", "pipeline run toy.yaml")
    sft, rl = run.stages
    assert (sft.model_in, rl.model_in) == ("tiny qwen2, random weights", "sft")
    assert rl.rows is not None and rl.rows.lost == {"the program does not end": 3, "its pass rate is under 0.1": 1}
    assert (rl.reached, rl.steps, rl.checkpoints, rl.handed_on, rl.model_out) == (40, 40, [40], 40, "stages/stage-one/model")
    assert [name for name, _, _ in rl.headline] == ["reward", "validation accuracy", "response tokens"]
    assert [each.title for each in topic(page, 0, "Loss")] == ["training loss", "validation loss"]
    (reward, _) = topic(page, 1, "Reward")
    assert {each.role for each in reward.curves} == {"line", "low", "high"}
    assert not any("GPU" in each.title for each in topic(page, 1, "Memory")), "a memory of 0 was not measured"
    assert [each.label for each in topic(page, 1, "Validation")[0].curves] == ["gsm8k", "programs"]
    assert page.curves.steps.count(list(range(1, 41))) == 1, "the steps are written once"
    assert len(page.samples.shown) == 40 * 8 + 4
    assert page.samples.notes == ["stage-one: all 324 samples that the run kept"]
    assert msgspec.json.decode(msgspec.json.encode(page), type=Page) == page


def test_several_runs(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / name, seed=seed, given={"seed": seed}) for seed, name in enumerate(("one", "two"), 1)]
    page = Report(runs).read()
    assert page.title == "one · two"
    (reward, _) = topic(page, 1, "Reward")
    assert {each.run for each in reward.curves} == {0, 1}
    assert [each.values for each in page.settings if each.key == "seed"] == [["1", "2"]]
    assert {each.run for each in page.samples.shown} == {0, 1}
    assert "Keys that differ between the runs" in "".join(render(page))


def test_too_many_runs(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{MOST_RUNS + 1} runs: a report has at most {MOST_RUNS}"):
        Report([tmp_path] * (MOST_RUNS + 1))


def test_a_run_that_has_not_begun(tmp_path: Path) -> None:
    write_manifest(tmp_path / "new", make_manifest("new"))
    page = Report([tmp_path / "new"]).read()
    assert (page.runs[0].state, page.samples.shown, page.settings[0].changed) == ("waiting", [], False)
    text = "".join(render(page))
    assert "No metrics: no trainer has logged a step" in text
    assert "recipe.yaml is missing or cannot be read" in text


def test_a_run_that_failed(tmp_path: Path) -> None:
    run = make_run(tmp_path / "toy")
    reason = "stage-one/train was aborted: 40 of 64 rewards failed"
    write_record(run / "stages" / RL / "train", make_record("train", outcome="failed", reason=reason, attempts=3))
    page = Report([run]).read()
    assert (page.runs[0].state, page.runs[0].stages[1].problem) == ("failed", reason)
    assert f"✕ {reason}" in "".join(render(page))


def test_a_run_of_version_0_2(tmp_path: Path) -> None:
    run = make_run(tmp_path / "toy")
    (run / "run.json").unlink()
    page = Report([run]).read()
    assert page.runs[0].notes == ["an earlier version of this project ran it: command, versions and pins were not recorded"]
    assert [each.name for each in page.runs[0].stages] == [SFT, RL]
    assert "not recorded" in "".join(render(page))


def test_a_run_that_was_moved(tmp_path: Path) -> None:
    run = make_run(tmp_path / "toy").rename(tmp_path / "moved")
    assert Report([run]).read().runs[0].stages[1].handed_on == 40


def test_torn_metrics(tmp_path: Path) -> None:
    run = make_run(tmp_path / "toy")
    path = StagePaths(run / "stages" / RL).metrics
    lines = path.read_text().splitlines()
    lines[3] = lines[3][:40]
    lines[5] = "[]"
    path.write_text("\n".join(lines) + '\n{"step": 41, "actor/ent')
    page = Report([run]).read()
    assert page.curves.stages[1].notes == ["2 lines of metrics.jsonl cannot be read and are left out"]
    assert topic(page, 1, "Entropy")[0].curves[0].summary.points == 38


def test_metrics_that_are_not_numbers(tmp_path: Path) -> None:
    run = make_run(tmp_path / "toy")
    with StagePaths(run / "stages" / RL).metrics.open("a") as file:
        file.write('{"step": 41, "actor/grad_norm": NaN, "actor/entropy": Infinity}\n')
    text = "".join(render(Report([run]).read()))
    assert "1 value not drawn: not a number at step 41" in text
    assert "1 value not drawn: infinite at step 41" in text


def test_only_new_metrics_are_read(tmp_path: Path) -> None:
    run = make_run(tmp_path / "toy", steps=20)
    growing = Report([run])
    growing.read()
    path = StagePaths(run / "stages" / RL).metrics
    with path.open("a") as file:
        file.write(json.dumps({"step": 21, "actor/entropy": 0.5}) + "\n")
    assert topic(growing.read(), 1, "Entropy")[0].curves[0].summary.last_step == 21
    write_metrics(run, RL, rl_rows(5))
    assert topic(growing.read(), 1, "Entropy")[0].curves[0].summary.last_step == 5, "a training from the beginning"
    path.unlink()
    assert topic(growing.read(), 1, "Entropy") == []


def test_a_long_run_is_thinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(charts, "_POINTS", 12_000)
    run = make_run(tmp_path / "toy", steps=1000, groups=1, per_group=1)
    page = Report([run]).read()
    curve = topic(page, 1, "Entropy")[0].curves[0]
    assert (len(curve.y) < 400, curve.summary.points) == (True, 1000)
    assert any("curves of up to 1,000 steps are drawn with at most" in note for note in page.curves.stages[1].notes)


def test_the_size_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "_SAMPLE_BYTES", 300_000)
    monkeypatch.setattr(charts, "_MOST_CURVES", 60)
    run = make_run(tmp_path / "toy", steps=2, others=500)
    samples = StagePaths(run / "stages" / RL).samples
    for step in range(1, 60):
        write_samples(samples, "train", step, [sample(step, number=number, response="<漢" * 9000) for number in range(8)], 8)
    page = Report([run]).read()
    shown = len(to_script_json(page.samples))
    assert 150_000 < shown <= 300_000, "every `<` takes six bytes"
    (left_out,) = [note for note in page.curves.stages[1].notes if "metrics are left out" in note]
    assert left_out.endswith("metrics are left out; metrics.jsonl has all")
    assert topic(page, 1, "Reward"), "those that no topic names are left out first"


def test_evaluations(tmp_path: Path) -> None:
    run = make_run(tmp_path / "toy")
    steps = [StepEntry(name=STEP, title="", stage=None, folder="evaluations/base")]
    steps += [StepEntry(name=f"{RL}/{STEP}", title="", stage=RL, folder="evaluations/stage-one")]
    manifest = make_manifest("toy")
    write_manifest(run, msgspec.structs.replace(manifest, steps=[*manifest.steps, *steps]))
    evaluation(run / "evaluations" / "base", {"own": {"a": [0, 0], "b": [0, 1], "c": [0, 0]}})
    evaluation(run / "evaluations" / "stage-one", {"own": {"a": [1, 1], "b": [1, 1], "c": [1, 0]}})
    page = Report([run]).read()
    (one,) = page.evaluations
    assert [each.model for each in one.models] == ["base", RL]
    assert one.models[0].change is None and one.models[1].change is not None
    assert one.models[1].change[0] == pytest.approx((one.models[1].value or 0) - (one.models[0].value or 0))
    assert "Evaluation on own" in "".join(render(page))


def test_a_damaged_evaluation_is_said(tmp_path: Path) -> None:
    run = make_run(tmp_path / "toy")
    manifest = make_manifest("toy")
    step = StepEntry(name=f"{RL}/{STEP}", title="", stage=RL, folder="evaluations/stage-one")
    write_manifest(run, msgspec.structs.replace(manifest, steps=[*manifest.steps, step]))
    (run / "evaluations" / "stage-one").mkdir(parents=True)
    (run / "evaluations" / "stage-one" / "summary.json").write_text("{}")
    (one,) = Report([run]).read().evaluations
    assert "is damaged" in one.notes[0]
