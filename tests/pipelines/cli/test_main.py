"""The commands of `pipeline`: mistakes are one line, and nothing is started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ROOT
from tests.pipelines.conftest import Call

PIPELINE = Path(sys.executable).with_name("pipeline")


def smoke_with(tmp_path: Path, old: str, new: str) -> str:
    """Write the smoke recipe with one change; its sources stay where they are."""
    text = (ROOT / "recipes" / "smoke.yaml").read_text()
    assert old in text
    path = tmp_path / "mine.yaml"
    path.write_text(text.replace(old, new, 1).replace("source: data/", f"source: {ROOT}/recipes/data/"))
    return str(path)


def test_help_names_the_first_command(call: Call) -> None:
    status, out, _ = call("--help")
    assert status == 0
    assert "pipeline run smoke.yaml" in out


def test_plan_prints_every_step_and_starts_nothing(call: Call, tmp_path: Path) -> None:
    status, out, _ = call("plan", "smoke.yaml", "--set", "hardware.platform=cpu")
    assert status == 0
    assert "stage-two/handover" in out and "would refuse" not in out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("learning_rate: ", "learning_rat: ", "stages.sft.learning_rat: unknown key; did you mean 'learning_rate'?"),
        ("kind: rl\n", "kind: rl\n    init_from: stft\n", "stage 'stft' not found; did you mean 'sft'"),
        ("model: {make: qwen2", "model: ./no-model\nx: {make: qwen2", "x: unknown key"),
        ("name: white_box", "name: white_bax", "white_bax"),
        ("converter: programs_code", "converter: program_code", "no converter is called 'program_code'"),
    ],
)
def test_a_mistake_is_one_line_with_file_and_line(call: Call, tmp_path: Path, old: str, new: str, line: str) -> None:
    recipe = smoke_with(tmp_path, old, new)
    status, _, err = call("run", recipe)
    assert status == 2
    assert any(
        each.startswith(("error: mine.yaml:", f"error: {recipe}:", "mine.yaml:")) and line in each for each in err.splitlines()
    )
    assert "Traceback" not in err
    assert not (tmp_path / "runs").exists()


def test_a_missing_model_folder(call: Call) -> None:
    status, _, err = call("run", "smoke.yaml", "--set", "model=./no-model")
    assert status == 2
    assert "model: model folder not found" in err and "no-model" in err


def test_a_folder_without_a_model(call: Call, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    status, _, err = call("run", "smoke.yaml", "--set", "model=./model")
    assert status == 2
    assert "has no config.json" in err


def test_a_missing_source_names_the_nearest_file(call: Call, tmp_path: Path) -> None:
    (tmp_path / "programs.py").touch()
    status, _, err = call("run", smoke_with(tmp_path, "source: data/programs.py", "source: ./program.py"))
    assert status == 2
    assert f"not found: {tmp_path}/program.py; did you mean '{tmp_path}/programs.py'?" in err


def test_plan_reports_problems(call: Call) -> None:
    status, out, _ = call("plan", "smoke.yaml", "--set", "model=./no-model")
    assert status == 0
    assert "`pipeline run` would refuse this recipe on this machine:" in out and "model folder not found" in out


def test_a_platform_without_its_lock(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.environments import pins

    monkeypatch.setattr(pins.Pin, "lock", lambda self, platform: Path("/nowhere") / f"{platform}.txt")
    status, _, err = call("run", "smoke.yaml", "--set", "hardware.platform=cpu")
    assert status == 2
    assert "lock" in err and "cpu" in err and len(err.splitlines()) == 1


def test_a_missing_python(call: Call) -> None:
    status, _, err = call("run", "smoke.yaml", "--set", "environments.verl=/no/such/python")
    assert status == 2
    assert "/no/such/python: no such file" in err


def test_an_unknown_stage(call: Call) -> None:
    status, _, err = call("run", "smoke.yaml", "--from", "stage-three", "--set", "hardware.platform=cpu")
    assert status == 2
    assert "no stage 'stage-three'; the stages are sft, stage-one, stage-two" in err


def test_a_missing_recipe(call: Call) -> None:
    status, _, err = call("plan", "smok.yaml")
    assert status == 2
    assert "smoke.yaml" in err


def test_a_run_directory_that_cannot_be_made(call: Call, tmp_path: Path) -> None:
    (tmp_path / "runs").touch()
    status, _, err = call("run", "smoke.yaml", "--set", "hardware.platform=cpu")
    assert status == 2
    assert f"error: {tmp_path}/runs is not a folder; --runs DIR makes run directories elsewhere\n" == err
    status, out, err = call("plan", "smoke.yaml", "--set", "hardware.platform=cpu")
    assert (status, err) == (0, "")
    assert f"{tmp_path}/runs is not a folder; --runs DIR makes run directories elsewhere\n" in out


def test_schema_is_up_to_date(call: Call) -> None:
    status, out, _ = call("schema")
    assert status == 0
    assert out == (ROOT / "recipes" / "recipe.schema.json").read_text()


def test_closed_output(tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", '"$1" plan smoke.yaml --set hardware.platform=cpu | head -n 1', "sh", str(PIPELINE)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stdout.startswith("recipe") and done.stderr == ""


def test_output_closed_before_the_command_ends(tmp_path: Path) -> None:
    """All of a short output is written at the end, when the reader has gone."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([PIPELINE, "algorithms"], cwd=tmp_path, stdout=writing, stderr=subprocess.PIPE, text=True)
    os.close(writing)
    assert done.stderr == ""


@pytest.mark.parametrize("closed", [">&-", "2>&-"])
def test_a_closed_stream_is_no_error(tmp_path: Path, closed: str) -> None:
    done = subprocess.run(["sh", "-c", f'"$1" algorithms {closed}', "sh", str(PIPELINE)], cwd=tmp_path, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_full_disk_is_one_line(tmp_path: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([PIPELINE, "algorithms"], cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (1, "error: a file cannot be written: No space left on device\n")


def test_help_imports_nothing_heavy() -> None:
    heavy = {"rich", "pyarrow", "pydantic", "torch", "ruamel.yaml"}
    code = f"import sys, pipelines.cli.main; print(*sorted(set(sys.modules) & {heavy}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
