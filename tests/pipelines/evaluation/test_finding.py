"""Targets: models, runs, stages and steps; what does not exist is one line with the nearest that does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.errors import InputError
from pipelines.evaluation.finding import find_target
from pipelines.evaluation.rendering import Options, make_spec, output_folder
from pipelines.evaluation.target import Target
from pipelines.recipe.loading import load
from pipelines.run.plan import stage_paths
from pipelines.trainers.verl.checkpoints.rotation import mark_complete
from tests.pipelines.evaluation.fakes import write_model


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of smoke.yaml whose first two stages have a model, with checkpoints of each trainer."""
    monkeypatch.chdir(tmp_path)
    directory = tmp_path / "runs" / "smoke"
    directory.mkdir(parents=True)
    (directory / "recipe.yaml").write_text(load(Path("smoke.yaml"), ["hardware.platform=cpu"]).text())
    for stage in ("sft", "stage-one"):
        write_model(stage_paths(directory, stage).model)
    for step, is_complete in ((150, True), (300, True), (450, False)):
        folder = write_model(stage_paths(directory, "sft").checkpoints / f"checkpoint-{step}")
        if is_complete:
            (folder / "trainer_state.json").write_text("{}")
    for step in (1, 2):
        folder = stage_paths(directory, "stage-one").checkpoints / f"global_step_{step}"
        (folder / "actor").mkdir(parents=True)
        if step == 1:
            mark_complete(folder, {"step": 1})
    return directory


@pytest.mark.parametrize(
    ("text", "label", "model"),
    [
        ("runs/smoke/sft", "sft", "stages/sft/model"),
        ("runs/smoke/stages/stage-one", "stage-one", "stages/stage-one/model"),
        ("runs/smoke/sft/", "sft", "stages/sft/model"),
        ("smoke/sft", "sft", "stages/sft/model"),
        ("smoke/stage-one@1", "stage-one@1", ""),
        ("runs/smoke/sft@150", "sft@150", "stages/sft/checkpoints/checkpoint-150"),
        ("runs/smoke/stage-one@1", "stage-one@1", ""),
        ("runs/smoke/sft@0", "sft@0", "model"),
        ("runs/smoke/stage-two@0", "stage-two@0", "stages/stage-one/model"),
    ],
)
def test_targets_of_a_run(run: Path, text: str, label: str, model: str) -> None:
    found = find_target(text)
    assert (found.label, found.model) == (label, str(run / model) if model else "")
    assert output_folder(found, Options()) == run / "evaluations" / label


def test_a_finished_run_is_its_last_stage(run: Path) -> None:
    write_model(stage_paths(run, "stage-two").model)
    found = find_target("runs/smoke")
    assert (found.label, found.model) == ("stage-two", str(stage_paths(run, "stage-two").model))


def test_models(run: Path, tmp_path: Path) -> None:
    write_model(tmp_path / "mine")
    found = find_target("./mine")
    assert (found.label, found.model, found.plan) == ("mine", str(tmp_path / "mine"), None)
    assert output_folder(found, Options()) == tmp_path / "evaluations" / "mine"
    assert find_target("Qwen/Qwen2.5-7B").model == "Qwen/Qwen2.5-7B"
    # The folder of a stage's model is a model like any other.
    assert find_target("runs/smoke/stages/sft/model").plan is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("runs/smok", "runs/smok not found; did you mean 'runs/smoke'?"),
        ("smoks", "smoks not found; did you mean 'smoke'?"),
        (
            "runs/smoke",
            "runs/smoke is not finished: its last stage, stage-two, has no model yet; found: runs/smoke/sft, runs",
        ),
        ("runs/smoke/stage-on", "has no stage 'stage-on'; did you mean 'stage-one'?"),
        ("runs/smoke/stage-two", "stage stage-two has no model yet; it has no checkpoints"),
        ("runs/smoke/sft@20", "stage sft has no checkpoint of step 20; it has checkpoints of 150 and 300"),
        ("runs/smoke/sft@450", "the checkpoint of step 450 is not complete; it has checkpoints of 150 and 300"),
        ("runs/smoke/stage-one@2", "the checkpoint of step 2 is not complete; it has checkpoints of 1"),
        ("runs/smoke@20", "a step is of a stage: runs/smoke/STAGE@20; its stages are sft, stage-one, stage-two"),
        ("Qwen/Qwen2.5-7B@20", "is not a stage of a run, so it has no step 20"),
        ("runs", "runs is neither a model (no config.json) nor a run (no recipe.yaml)"),
        ("/nowhere/model", "/nowhere/model not found; only / exists"),
    ],
)
def test_mistakes_name_the_nearest(run: Path, text: str, message: str) -> None:
    with pytest.raises(InputError) as raised:
        find_target(text)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_step_of_verl_is_exported_into_the_evaluation(run: Path, tmp_path: Path) -> None:
    target = find_target("runs/smoke/stage-one@1")
    (stage_paths(run, "stage-one").data).mkdir()
    (stage_paths(run, "stage-one").data / "validation.parquet").touch()
    spec = make_spec(target, Options(), tmp_path / "out")
    assert spec.export is not None
    assert spec.model == str(tmp_path / "out" / "model")
    assert spec.export.checkpoint == str(stage_paths(run, "stage-one").checkpoints / "global_step_1")
    argv = list(spec.export.argv)
    assert argv[argv.index("--local_dir") + 1] == str(tmp_path / "out" / "export" / "checkpoint" / "actor")
    assert argv[argv.index("--target_dir") + 1] == str(tmp_path / "out" / "export" / "export")


def test_settings_are_those_of_the_run(run: Path, tmp_path: Path) -> None:
    data = stage_paths(run, "stage-one").data
    data.mkdir()
    (data / "validation.parquet").touch()
    spec = make_spec(find_target("runs/smoke/sft"), Options(samples=4), tmp_path / "out")
    (own,) = spec.sets
    assert (own.name, own.samples, own.temperature, own.max_prompt_tokens, own.max_tokens) == (
        "own-stage-one",
        4,
        1.0,
        320,
        128,
    )
    assert own.rewards[0]["name"] == "white_box", "an SFT stage is evaluated on the rows of the next RL stage"
    generation = spec.generation
    assert (generation.platform, generation.tensor_parallel, generation.replicas, generation.seed) == ("cpu", 1, 1, 17)
    assert generation.variables["VERL_PLATFORM"] == "cpu"
    assert json.loads(json.dumps(spec.sets[0].definition))["data"]["source"] == str(data / "validation.parquet")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options(), "validation.parquet not found; `pipeline data prepare` makes the rows of a recipe"),
        (Options(sets=("nosuch",)), "no evaluation set is called 'nosuch'"),
    ],
)
def test_unknown_sets(run: Path, tmp_path: Path, options: Options, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_spec(find_target("runs/smoke/sft"), options, tmp_path / "out")


def test_a_model_without_a_run_needs_a_set(tmp_path: Path) -> None:
    target = Target("m", "m", str(write_model(tmp_path / "m")), tmp_path)
    with pytest.raises(InputError, match="m: choose what to evaluate on with --on SET; sets: "):
        make_spec(target, Options(), tmp_path / "out")
    with pytest.raises(InputError, match="--on own: m is not an RL stage of a run"):
        make_spec(target, Options(sets=("own",)), tmp_path / "out")


def test_results_that_must_not_be_mixed_have_different_folders(tmp_path: Path) -> None:
    target = Target("m", "m", "m", tmp_path)
    options = Options(samples=4, temperature=0.5, limit=10, max_tokens=99, tool=False)
    assert output_folder(target, options).name == "m.4-samples.temperature-0.5.99-tokens.first-10.no-tool"
