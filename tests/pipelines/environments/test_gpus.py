"""CUDA_VISIBLE_DEVICES, as the driver reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.environments import detected_platform
from pipelines.environments.gpus import Gpu, count_gpus, describe_hidden, list_gpus, visible

PRESENT = [Gpu("GPU-aa1", "A"), Gpu("GPU-bb2", "B"), Gpu("GPU-bb3", "C")]


@pytest.mark.parametrize(
    ("variable", "names"),
    [
        (None, "ABC"),
        ("", ""),
        ("-1", ""),
        ("NoDevFiles", ""),
        ("1", "B"),
        ("2,0", "CA"),
        (" 0 , 1 ", "AB"),
        ("0,7,1", "A"),
        ("0,-1,1", "A"),
        ("GPU-bb3,GPU-aa", "CA"),
        ("GPU-cc", ""),
    ],
)
def test_visible(variable: str | None, names: str) -> None:
    assert "".join(gpu.name for gpu in visible(PRESENT, variable)) == names


def test_without_nvidia_smi_uuids_are_believed() -> None:
    assert len(visible([Gpu("", "GPU")] * 8, "GPU-aa1,GPU-bb2")) == 2
    assert len(visible([Gpu("", "GPU")], "MIG-1,MIG-2")) == 2
    assert visible([], "GPU-aa1,MIG-2") == []


@pytest.fixture
def devices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for number in range(4):
        (tmp_path / f"nvidia{number}").touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return tmp_path


def test_device_files_are_counted(devices: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (count_gpus(devices), describe_hidden(devices), detected_platform(devices)) == (4, "", "cuda")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,3")
    assert (count_gpus(devices), detected_platform(devices)) == (2, "cuda")
    assert describe_hidden(devices) == " (CUDA_VISIBLE_DEVICES=1,3 leaves 2 of 4)"
    assert [gpu.name for gpu in list_gpus(devices)] == ["GPU", "GPU"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert (count_gpus(devices), detected_platform(devices)) == (0, "cpu")


def test_names_are_those_of_the_visible(devices: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = devices / "nvidia-smi"
    script.write_text("#!/bin/sh\necho 'GPU-1, NVIDIA A100, 40960 MiB'\necho 'GPU-2, NVIDIA H100, 81559 MiB'\n")
    script.chmod(0o755)
    assert [gpu.name for gpu in list_gpus(devices)] == ["NVIDIA A100 of 40960 MiB", "NVIDIA H100 of 81559 MiB"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert [gpu.name for gpu in list_gpus(devices)] == ["NVIDIA H100 of 81559 MiB"]
