"""The examples of docs/clusters.md."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from pipelines.launch.settings import Site
from pipelines.recipe.launching import Container, KubeRaySettings, RaySettings, SlurmSettings
from pipelines.recipe.loading import load
from tests import ROOT
from tests.pipelines.conftest import Call
from tests.pipelines.records.making import make_run

PAGE = (ROOT / "docs/clusters.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
FILES = {text.split()[1]: text for kind, text in BLOCKS if kind == "yaml"}
COMMANDS = [line for kind, text in BLOCKS if kind == "bash" for line in text.splitlines()]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name, text in FILES.items():
        Path(name).write_text(text.replace("/shared", str(tmp_path)), encoding="utf-8")
    return tmp_path


def test_number_of_examples() -> None:
    assert len(FILES) == 5
    assert len(COMMANDS) == 12


@pytest.mark.parametrize("name", [name for name in FILES if name != "site.yaml"])
def test_recipes_load(name: str) -> None:
    load(Path(name))


def test_the_sites_file(monkeypatch: pytest.MonkeyPatch, call: Call) -> None:
    monkeypatch.setenv("PIPELINE_SITE", "site.yaml")
    status, out, _ = call("submit", "slurm.yaml", "--to", "slurm", "--dry-run")
    assert status == 0 and "#SBATCH --account=lab\n" in out and "module load cuda/13.0\n" in out
    assert set(Site.model_fields) == {"launch"}


@pytest.mark.parametrize("command", COMMANDS)
def test_commands(command: str, call: Call, folder: Path) -> None:
    program, *words = shlex.split(command.replace("/shared", str(folder)), comments=True)
    assert program == "pipeline"
    if words[0] == "submit" and "--dry-run" not in words:
        words.append("--dry-run")
    if words[0] in ("status", "logs", "stop"):
        make_run(folder / "runs" / "smoke")
    status, out, err = call(*words)
    assert status == 0, err
    if words[0] == "submit":
        assert out.startswith(("#!/bin/bash\n", "apiVersion: ray.io/v1\n"))


@pytest.mark.parametrize("model", [SlurmSettings, RaySettings, KubeRaySettings, Container])
def test_every_key_is_documented(model: type[SlurmSettings]) -> None:
    missing = [name for name in model.model_fields if not re.search(rf"(?:`{name}`|\b{name}:)", PAGE)]
    assert missing == []


def test_the_image_has_the_variables_that_the_script_uses() -> None:
    (text,) = (text for kind, text in BLOCKS if kind == "dockerfile")
    assert "PIPELINE_VERL_PYTHON=" in text and "pipeline env sync --platform cuda" in text
    for trainer in ("verl", "llamafactory"):
        assert (ROOT / "third_party" / trainer / "cuda.txt").is_file()
        assert f"third_party/{trainer}/environments/cuda/bin/python" in text
