"""This project, installed from its wheel into another environment and used from another folder."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import ROOT

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
METADATA = f"code_post_training-{VERSION}.dist-info"

# What a trainer's Python needs: the packages, and the entry points of the plugins; but no other package of this project.
IMPORTED = """
import importlib.metadata, importlib.util, json
import pipelines.trainers.verl.attempt_files, preprocess.atomic, rewards.reasons
groups = ("verl.plugins", "vllm.general_plugins")
print(json.dumps([
    [entry.module for group in groups for entry in importlib.metadata.entry_points(group=group)],
    importlib.util.find_spec("rich") is None,
]))
"""


@dataclass(frozen=True)
class Installed:
    """The environment that the wheel is installed in."""

    wheel: Path
    environment: Path
    folder: Path
    """Where the commands run; outside of the checkout."""
    cache: Path

    def run(self, command: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment."""
        kept = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV") and not k.startswith("PIPELINE_")}
        environ = {**kept, "XDG_CACHE_HOME": str(self.cache), **variables}
        argv = [str(self.environment / "bin" / command), *arguments]
        return subprocess.run(argv, cwd=self.folder, env=environ, capture_output=True, text=True)

    def output(self, command: str, *arguments: str) -> str:
        """Run a program that succeeds and return its output."""
        done = self.run(command, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    base = tmp_path_factory.mktemp("wheel")
    environment, folder = base / "environment", base / "elsewhere"
    folder.mkdir()
    build = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(base), str(ROOT)]
    subprocess.run([sys.executable, "-m", "pip", *build], check=True, cwd=folder)
    [wheel] = base.glob("*.whl")
    venv.create(environment, with_pip=False)
    install = ["--python", str(environment / "bin" / "python"), "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", *install], check=True, cwd=folder)
    # The dependencies are those of the tests. Their .pth files are not read, so the checkout is not importable.
    [packages] = environment.glob("lib/python3*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return Installed(wheel, environment, folder, base / "cache")


def test_the_wheel_contains_recipes_and_pins_but_nothing_built(installed: Installed) -> None:
    names = set(zipfile.ZipFile(installed.wheel).namelist())
    shipped = {name.removeprefix("pipelines/_shipped/") for name in names if name.startswith("pipelines/_shipped/")}
    pins = [path for pattern in ("pin.toml", "cpu.txt", "cuda.txt", "*.json") for path in ROOT.glob(f"third_party/*/{pattern}")]
    stubs = [path for path in ROOT.glob("third_party/*/stand_ins/**/*") if path.is_file()]
    recipes = [path for path in ROOT.glob("recipes/**/*") if path.is_file()]
    expected = {str(path.relative_to(ROOT)) for path in (*pins, *stubs, *recipes) if path.suffix != ".pyc"}
    assert shipped == expected
    assert {name.split("/")[0] for name in names} == {"pipelines", "preprocess", "rewards", METADATA}


def test_commands_run_from_any_folder(installed: Installed) -> None:
    assert installed.output("pipeline", "schema") == (ROOT / "recipes" / "recipe.schema.json").read_text()
    assert "stage-one" in installed.output("pipeline", "plan", "smoke.yaml")
    head, *lines = (line.split("\t") for line in installed.output("pipeline", "env", "list").splitlines())
    built = installed.cache / "code-post-training" / VERSION
    assert {(line[0], line[1]): line[-1] for line in lines} == {
        (trainer, platform): str(built / trainer / "environments" / platform)
        for trainer in ("llamafactory", "verl")
        for platform in ("cpu", "cuda")
    }
    assert head[-1] == "path"
    assert list(installed.folder.iterdir()) == []


def test_doctor_examines_the_sandbox(installed: Installed) -> None:
    done = installed.run("pipeline", "doctor")
    assert "it is not built; `pipeline env sync` builds it" in done.stdout
    assert "isolation" in done.stdout or "NOT SAFE" in done.stdout


def test_locks_are_not_resolved_in_an_installed_package(installed: Installed) -> None:
    done = installed.run("pipeline", "env", "lock", "verl", "--platform", "cpu")
    expected = "error: locks are resolved in a checkout of this project, not in an installed package\n"
    assert (done.returncode, done.stderr) == (2, expected)


def test_another_python_can_import_this_project_only(installed: Installed) -> None:
    folder = installed.output("python", "-c", "from pipelines.shipped import import_folder; print(import_folder())").strip()
    assert sorted(path.name for path in Path(folder).iterdir()) == [METADATA, "pipelines", "preprocess", "rewards"]
    done = installed.run("python", "-S", "-c", IMPORTED, PYTHONPATH=folder)
    expected = '[["pipelines.trainers.verl.plugin", "pipelines.trainers.verl.attempt_files"], true]\n'
    assert (done.stdout, done.stderr) == (expected, "")


@pytest.mark.nightly
def test_the_smoke_recipe_runs(installed: Installed, tmp_path: Path) -> None:
    """Environments are built in the cache, linked from the usual cache of uv."""
    uv_cache = subprocess.run(["uv", "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
    arguments = ("smoke.yaml", "--runs", str(tmp_path), "--set", "hardware.platform=cpu")
    done = installed.run("pipeline", "run", *arguments, UV_CACHE_DIR=uv_cache)
    assert done.returncode == 0, done.stderr
    for stage in ("sft", "stage-one", "stage-two"):
        assert (tmp_path / "smoke" / "stages" / stage / "model" / "config.json").is_file()
    again = installed.run("pipeline", "run", *arguments, UV_CACHE_DIR=uv_cache)
    assert again.returncode == 0, again.stderr
