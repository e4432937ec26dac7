"""A tiny project: one trainer, a lock of two small wheels and a source archive, all in a folder of wheels."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

from pipelines.environments.building import find_base_interpreter
from tests import ROOT

REPOSITORY = ROOT

# A build backend without dependencies: neither an editable installation nor pip's look at the archive needs a network.
BACKEND = """
import pathlib, zipfile
def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    name = "{name}-{version}-py3-none-any.whl"
    info = "{name}-{version}.dist-info"
    with zipfile.ZipFile(pathlib.Path(wheel_directory, name), "w") as wheel:
        wheel.writestr("{name}.pth", str(pathlib.Path.cwd()) + "\\n")
        wheel.writestr(info + "/METADATA", "Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
        wheel.writestr(info + "/WHEEL", "Wheel-Version: 1.0\\nGenerator: toy\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "/RECORD", "")
    return name
def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    info = pathlib.Path(metadata_directory, "{name}-{version}.dist-info")
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
    return info.name
"""

PYPROJECT = """
[project]
name = "{name}"
version = "{version}"
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""

# Reading pip's configuration is the slowest part of so small a build, so only one test does it.
DRIVER = """
import json, os, sys
from pathlib import Path
from pipelines.environments import uv
from pipelines.environments.builds import sync
if os.environ["TOY_SETTINGS"]:
    uv.read_pip_settings = lambda: json.loads(os.environ["TOY_SETTINGS"])
from pipelines.errors import PipelineError
try:
    print(sync("verl", "cpu", source=os.environ.get("TOY_SOURCE"), root=Path(sys.argv[1])).python)
except PipelineError as error:
    sys.exit(f"error: {error}")
"""


class Toy:
    """The folder of the project and what tests do to it."""

    def __init__(self, folder: Path, trainer: str = "verl") -> None:
        folder.mkdir(exist_ok=True)
        self.root = folder / "project"
        self.wheels = folder / "wheels"
        self.repository = folder / "repository"
        self.trainer = self.root / "third_party" / trainer
        self.directory = self.trainer / "environments" / "cpu"
        self.python = self.directory / "bin" / "python"
        self.wheels.mkdir()
        self.trainer.mkdir(parents=True)
        self._source("project", "1.0", self.root)
        tag = _find_tag()
        torch = self.wheel("torch", "2.0+cpu", f"{tag}-{tag}-linux_x86_64")
        helper = self.wheel("helper", "1.0", "py3-none-any")
        self.lock = self.trainer / "cpu.txt"
        self.lock.write_text(f"helper==1.0 \\\n    --hash=sha256:{helper}\ntorch==2.0+cpu \\\n    --hash=sha256:{torch}\n")
        self.pin(self.archive("1.0"))

    def pin(self, sha256: str, version: str = "1.0") -> None:
        """Pin the trainer."""
        (self.trainer / "pin.toml").write_text(
            f'name = "toy"\nversion = "{version}"\nsha256 = "{sha256}"\nrepository = "{self.repository}"\n'
            'tag = "v1"\nmodule = "toy"\nshows = ["torch", "helper"]\nimports = ["toy", "helper", "missing"]\n'
        )

    def archive(self, version: str) -> str:
        """Add the trainer's source archive to the wheels; return its sha256."""
        tree = self.wheels.parent / f"toy-{version}"
        self._source("toy", version, tree)
        (tree / "toy").mkdir()
        (tree / "toy" / "__init__.py").write_text(f'__version__ = "{version}"\n')
        (tree / "PKG-INFO").write_text(f"Metadata-Version: 2.1\nName: toy\nVersion: {version}\n")
        file = self.wheels / f"toy-{version}.tar.gz"
        with tarfile.open(file, "w:gz") as tar:
            tar.add(tree, tree.name)
        return hashlib.sha256(file.read_bytes()).hexdigest()

    def wheel(self, name: str, version: str, tag: str) -> str:
        """Add a wheel of one module to the wheels; return its sha256."""
        info = f"{name}-{version}.dist-info"
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as wheel:
            wheel.writestr(f"{name}.py", f'__version__ = "{version}"\n')
            wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            wheel.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nGenerator: toy\nRoot-Is-Purelib: true\nTag: {tag}\n")
            wheel.writestr(f"{info}/RECORD", "")
        (self.wheels / f"{name}-{version}-{tag}.whl").write_bytes(content.getvalue())
        return hashlib.sha256(content.getvalue()).hexdigest()

    def variables(self) -> dict[str, str]:
        """Return variables with which only the folder of wheels is read."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "UV_", "PIPELINE_"))}
        mine = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels)}
        mine["TOY_SETTINGS"] = json.dumps({"no-index": "1", "find-links": str(self.wheels)})
        return {**kept, **mine, "PYTHONPATH": str(REPOSITORY), "UV_CACHE_DIR": str(self.wheels.parent / "cache")}

    def start(self, **more: str) -> subprocess.Popen[str]:
        """Start a sync in a process."""
        argv = [sys.executable, "-c", DRIVER, str(self.root)]
        return subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**self.variables(), **more}
        )

    def sync(self, **more: str) -> tuple[int, str]:
        """Sync; return the exit status and the output."""
        with self.start(**more) as process:
            output, _ = process.communicate(timeout=300)
        return process.returncode, output

    def imports(self) -> str:
        """Return the versions that the built environment imports, as one line."""
        code = "import toy, torch, helper; print(toy.__version__, torch.__version__, helper.__version__)"
        argv = [str(self.python), "-I", "-c", code]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()

    def _source(self, name: str, version: str, tree: Path) -> None:
        tree.mkdir(exist_ok=True)
        (tree / "pyproject.toml").write_text(PYPROJECT.format(name=name, version=version))
        (tree / "backend.py").write_text(BACKEND.format(name=name, version=version))


@functools.cache
def _find_tag() -> str:
    """Return the wheel tag of the Python that environments are built with."""
    code = "import sys; print('cp%d%d' % sys.version_info[:2])"
    python = find_base_interpreter(os.environ)
    return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
