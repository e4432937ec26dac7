"""Records of steps."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.digests import Digests
from pipelines.recipe.loading import load
from pipelines.records.steps import StepRecord, read_record, write_record
from pipelines.run import skipping
from pipelines.run.plan import Machine, Plan, Step, make_plan
from pipelines.trainers.base import Launch
from tests import ROOT
from tests.pipelines.run.toy import make_toy_plan


def test_outputs_with_the_same_name(tmp_path: Path) -> None:
    outputs = []
    for stage in ("one", "two"):
        (tmp_path / stage).mkdir()
        (tmp_path / stage / "prompts.json").write_text(stage)
        outputs.append(tmp_path / stage / "prompts.json")
    step = Step("prompts", "count", None, None, tmp_path, Launch(("true",)), outputs=(*outputs, tmp_path / "two"))
    digests = skipping.digest_outputs(step, Digests(tmp_path / "digests.json"))
    assert list(digests) == ["one/prompts.json", "two/prompts.json", "two"]
    assert len(set(digests.values())) == 3


def test_records_of_version_0_1_stay_valid(tmp_path: Path) -> None:
    """A finished stage is not re-trained after an upgrade: renamed modules and fields are recognised."""
    now = Step("model", "make", None, None, tmp_path, Launch(("python", "-m", "pipelines.models.tiny", "model.json")))
    before = replace(now, launch=Launch(("python", "-m", "pipelines.tiny_model", "model.json")))
    plan = make_toy_plan(tmp_path)
    command = skipping.digest_command(before, plan)
    assert skipping.digest_command(now, plan) == command
    fields = {"command": command, "inputs": {}, "outcome": "complete", "made": "2026-11-27T16:00:00+00:00 7"}
    (tmp_path / "record.json").write_text(json.dumps(fields))
    found = read_record(now.directory)
    assert found is not None and found.execution_id == "2026-11-27T16:00:00+00:00 7"
    assert skipping.why_run(now, plan, Digests(tmp_path / "digests.json")) is None


def test_unknown_fields_are_skipped(tmp_path: Path) -> None:
    """A stage that a later version finished stays finished."""
    plan = make_toy_plan(tmp_path)
    step = plan.step("one/train")
    step.directory.mkdir(parents=True)
    fields = {"command": skipping.digest_command(step, plan), "inputs": {}, "outcome": "complete", "gpu": "H100", "host": {}}
    (step.directory / "record.json").write_text(json.dumps(fields))
    assert skipping.why_run(step, plan, Digests(tmp_path / "digests.json")) is None
    (step.directory / "record.json").write_text(json.dumps(fields | {"outcome": "paused"}))
    assert skipping.why_run(step, plan, Digests(tmp_path / "digests.json")) == "was interrupted"


@pytest.mark.parametrize("text", ["", "[]", '{"outcome": "complete"}', '{"command": "c', "\xff"])
def test_damaged_record_is_no_record(tmp_path: Path, text: str) -> None:
    step = make_toy_plan(tmp_path).step("one/train")
    step.directory.mkdir(parents=True)
    (step.directory / "record.json").write_text(text, encoding="latin-1")
    assert read_record(step.directory) is None


PLACES = ["/data/b", *(f"/home/{name}/b" for name in ("müller", "目录", "a b", "it's", '"q"', "a\\b", "a1"))]


def plan_in(directory: str, *, recipe: str = "smoke", source: str = "", rate: float | None = None) -> Plan:
    trainers = ("llamafactory", "verl")
    machine = Machine(
        platform="cpu",
        orchestrator=Path("/o/python"),
        pythons={name: Path(f"/e/{name}/bin/python") for name in trainers},
        sources={name: Path(f"/c/{name}") for name in trainers},
    )
    loaded = load(ROOT / "recipes" / f"{recipe}.yaml").recipe
    stage = loaded.stages[0]
    changes: dict[str, Any] = {} if rate is None else {"learning_rate": rate}
    if source:
        train = [stage.data.train_sources[0].model_copy(update={"source": source})]
        changes["data"] = stage.data.model_copy(update={"train": train})
    stages = [stage.model_copy(update=changes), *loaded.stages[1:]]
    return make_plan(loaded.model_copy(update={"stages": stages}), machine, Path(directory))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("recipe", ["smoke", "smoke_interpreter"])
def test_moved_run_is_not_re_run(place: str, recipe: str) -> None:
    before, now = plan_in("/data/runs/a", recipe=recipe), plan_in(place, recipe=recipe)
    for step in before.steps:
        assert skipping.digest_command(step, before) == skipping.digest_command(now.step(step.name), now), step.name


def test_a_longer_name_is_not_the_run_directory() -> None:
    for source in ("/data/a2/rows.jsonl", "/data/a.jsonl", "/mnt/data/a/rows.jsonl"):
        before, now = plan_in("/data/a", source=source), plan_in("/data/b", source=source)
        assert [skipping.digest_command(step, before) for step in before.steps] == [
            skipping.digest_command(step, now) for step in now.steps
        ]


@pytest.mark.parametrize(
    ("place", "recorded"),
    [("/data/runs/a", "199c12c0de05a313"), ("/home/müller/runs/a", "07fa95ecf9df830d"), ("/data/a", "019c139ebfd60013")],
)
def test_digests_of_version_0_2_stay_valid(place: str, recorded: str, tmp_path: Path) -> None:
    plan = make_toy_plan(Path(place))
    files = {"train.yaml": f"train_files: {place}/data\nval_files: /data/a2/rows\n"}
    launch = Launch(("/o/python", "-m", "train", f"{place}/x"), {"CACHE": f"{place}/cache"}, files)
    step = Step("one/train", "train", "one", None, tmp_path, launch)
    found = StepRecord(recorded, {}, "complete")
    assert skipping.why_run(step, plan, Digests(tmp_path / "digests.json")) == "not done yet"
    write_record(step.directory, found)
    assert skipping.why_run(step, plan, Digests(tmp_path / "digests.json")) is None


@pytest.mark.parametrize("place", ["/data/runs/a", *PLACES[:4]])
def test_reason_is_the_changed_setting_of_a_moved_run(place: str, tmp_path: Path) -> None:
    """Paths that a move changes are not the reason."""
    before = plan_in("/data/runs/a")
    for stage in before.recipe.stages:
        name = f"{stage.name}/train"
        for step in (each for each in before.steps if each.name == name):
            (tmp_path / name).mkdir(parents=True)
            for file, text in step.launch.files.items():
                (tmp_path / name / file).write_text(text, encoding="utf-8")
    now = plan_in(place, rate=0.5)
    name = f"{now.recipe.stages[0].name}/train"
    step = replace(now.step(name), directory=tmp_path / name)
    found = StepRecord(skipping.digest_command(before.step(name), before), {}, "complete")
    reason = skipping.why_changed(step, now, Digests(tmp_path / "digests.json"), found)
    assert reason is not None and reason.startswith("train.yaml changed: ") and reason.endswith(": 0.5"), reason


def test_reason_is_not_a_setting_that_the_digest_leaves_out(tmp_path: Path) -> None:
    def make(rate: str, seconds: str) -> Step:
        text = f"seconds: {seconds}\nlr: {rate}\n"
        launch = Launch(("python",), files={"train.yaml": text}, cache_key_files={"train.yaml": f"seconds: null\nlr: {rate}\n"})
        return Step("one/train", "train", "one", None, tmp_path, launch)

    plan, digests = make_toy_plan(tmp_path / "run"), Digests(tmp_path / "digests.json")
    before = make("1", "9")
    (tmp_path / "train.yaml").write_text(before.launch.files["train.yaml"])
    found = StepRecord(skipping.digest_command(before, plan), {}, "complete")
    assert skipping.why_changed(make("1", "8"), plan, digests, found) is None
    assert skipping.why_changed(make("2", "8"), plan, digests, found) == "train.yaml changed: lr: 1 -> lr: 2"


def test_digest_of_a_hub_name_does_not_depend_on_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, digests = "Qwen/Qwen2.5-0.5B", Digests(tmp_path / "digests.json")
    step = Step("one/train", "train", "one", None, tmp_path, Launch(("python",)), inputs={"model": name})
    (tmp_path / name).mkdir(parents=True)
    (tmp_path / name / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert skipping.digest_inputs(step, make_toy_plan(tmp_path), digests) == {"model": f"name {name}"}
    assert digests.of(Path(name)) is None and digests.of(Path(name) / "config.json") is None
    assert digests.of(tmp_path / name) is not None


@pytest.mark.parametrize("place", ["/data/b", "/home/müller/b"])
def test_names_of_inputs_move_with_the_run(place: str, tmp_path: Path) -> None:
    """The name of an input may contain the run directory: `tokenizer of /data/runs/a/model`."""
    before, now, digests = plan_in("/data/runs/a"), plan_in(place), Digests(tmp_path / "digests.json")
    step = now.step("prompts")
    inputs = {
        name: digest.replace("/data/runs/a", place)
        for name, digest in skipping.digest_inputs(before.step("prompts"), before, digests).items()
    }
    found = StepRecord(skipping.digest_command(before.step("prompts"), before), inputs, "complete")
    assert skipping.why_changed(step, now, digests, found) is None
    found.inputs["tokenizer of <run>/model"] = "another"
    assert skipping.why_changed(step, now, digests, found) == f"tokenizer of {place}/model changed"


def test_names_of_inputs_in_records_of_version_0_2(tmp_path: Path) -> None:
    plan, digests = plan_in("/data/runs/a"), Digests(tmp_path / "digests.json")
    step = plan.step("prompts")
    inputs = {name: digests.of(Path(path)) or f"name {path}" for name, path in step.inputs.items()}
    assert "tokenizer of /data/runs/a/model" in inputs
    found = StepRecord(skipping.digest_command(step, plan), inputs, "complete")
    assert skipping.why_changed(step, plan, digests, found) is None
