"""GPUs as reported by nvidia-smi, which is a script here."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.checks.resources import check_gpus
from pipelines.recipe.schema import Hardware


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "nvidia-smi"
    script.write_text("#!/bin/sh\necho 'GPU-ab1, NVIDIA H100, 81559 MiB'\necho 'GPU-cd2, NVIDIA H100, 81559 MiB'\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(
    ("hardware", "result", "verdict"),
    [
        (Hardware(gpus_per_node=2), "2 x NVIDIA H100 of 81559 MiB; the recipe needs 2", "ok"),
        (Hardware(gpus_per_node=8), "2 x NVIDIA H100 of 81559 MiB; the recipe needs 8", "wrong"),
        # The GPUs of other machines are unknown.
        (Hardware(nodes=2, gpus_per_node=8), "2 x NVIDIA H100 of 81559 MiB; the recipe needs 2 x 8", "ok"),
    ],
)
def test_gpus_are_compared_with_the_recipe(hardware: Hardware, result: str, verdict: str) -> None:
    found = check_gpus(hardware, "cuda")
    assert (found.result, found.verdict) == (result, verdict)


@pytest.mark.usefixtures("two_gpus")
def test_hidden_gpus_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    found = check_gpus(Hardware(gpus_per_node=2), "cuda")
    assert (found.result, found.verdict) == ("1 x NVIDIA H100 of 81559 MiB; the recipe needs 2", "wrong")


@pytest.mark.usefixtures("two_gpus")
def test_on_cpu_gpus_are_not_used() -> None:
    assert check_gpus(Hardware(), "cpu").result == "not used: the platform is cpu"


def test_no_nvidia_smi_is_no_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert check_gpus(Hardware(), "cpu").result == "none: trains on the CPU"
