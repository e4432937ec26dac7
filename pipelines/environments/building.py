"""Build a virtual environment from its lock, always from scratch: a partial build needs no repair.

From uv's cache a whole environment is linked in seconds, which makes that cheap.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uv import find_uv_bin

from pipelines.environments import build_command, uv
from pipelines.environments.build_command import Commands
from pipelines.environments.pins import Pin, locked_versions
from pipelines.environments.progress import Downloads, Phases
from pipelines.errors import StepError
from pipelines.shipped import import_folder

if TYPE_CHECKING:
    from pipelines.trainers.base import Platform

PYTHONS = ((3, 11), (3, 12))
"""The Pythons that the locks are resolved for."""

# Python compiles a module when it is first imported. The many processes of a run start much faster if one process did that
# before. Compiling every file of every package instead takes several times as long: a training imports less than a third of
# them. A module that cannot be imported is an error of the step that needs it, not of the build.
_IMPORT = """
import importlib, sys
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except (Exception, SystemExit) as error:
        print(f"{name}: {type(error).__name__}: {error}")
"""
_OFFLINE = {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}

# On a CPU most of a small run's time is imports, a fifth of which is the collection of garbage that is not there: an import
# makes objects that stay.
_COLLECT_LESS = "import gc; gc.set_threshold(20_000, 50, 100)\n"


@dataclass(frozen=True)
class Build:
    """One build: what its commands share."""

    pin: Pin
    platform: Platform
    directory: Path
    log: Path
    lock: int
    """File descriptor of the lock on the folder."""
    settings: Mapping[str, str]
    """pip's settings."""
    variables: Mapping[str, str]
    """Environment variables of the commands."""
    phases: Phases
    commands: Commands
    """The commands of all builds, which end together."""

    @property
    def python(self) -> Path:
        """The interpreter of the new environment."""
        return self.directory / "bin" / "python"

    def start_phase(self, text: str) -> None:
        """Report the start of a phase."""
        self.phases.start(text)

    def run(self, argv: Sequence[str], *, variables: Mapping[str, str] | None = None, **options: Any) -> None:
        """Run a command with `build_command.run`."""
        environ = {**self.variables, **(variables or {})}
        build_command.run(argv, log=self.log, variables=environ, lock=self.lock, commands=self.commands, **options)

    def uv(self, *arguments: str, what: str, stdin: str | None = None) -> None:
        """Run uv."""
        downloads = Downloads()

        def watch(line: str) -> None:
            if summary := downloads.describe(line):
                self.phases.update(summary)

        failures = []
        what = f"{self.pin.trainer} {self.platform}: {what}"
        for choice in uv.index_choices(self.settings, self.variables):
            try:
                return self.run([find_uv_bin(), *arguments], what=what, variables=choice, stdin=stdin, watch=watch)
            except StepError as failure:
                failures.append(failure)
        # The error of the main index is the useful one: the others are usually partial.
        raise failures[0]


def count_phases(pin: Pin, platform: Platform) -> int:
    """Return how many phases `build` has."""
    return 3 + (platform == "cpu") + bool(pin.imports)


def build(task: Build, base: str) -> None:
    """Build the environment in its folder, which must not exist, with the interpreter `base`."""
    pin, lock = task.pin, task.pin.lock(task.platform)
    task.start_phase("creating the environment")
    task.uv("venv", "--quiet", "--python", base, str(task.directory), what="cannot create the environment")
    python = ["--python", str(task.python)]
    if task.platform == "cpu":
        _install_cpu_torch(task, lock, [*python, "--require-hashes", "--no-deps"])
    task.start_phase(f"installing {len(locked_versions(lock))} packages")
    task.uv("pip", "sync", *python, "--require-hashes", str(lock), what="cannot install its packages")
    task.start_phase(f"installing {pin.name} {pin.version} in editable mode")
    # The lock contains their build backends, so nothing outside the lock is downloaded to build them.
    editable = ["--editable", str(pin.checkout), *(["--editable", str(pin.project)] if pin.project else [])]
    task.uv("pip", "install", *python, "--no-deps", "--no-build-isolation", *editable, what="cannot install")
    if not pin.project:
        (site_packages(task.directory) / "code_post_training.pth").write_text(f"{import_folder()}\n", "utf-8")
    stand_ins = pin.stand_ins(task.platform)
    if stand_ins.is_dir():
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(stand_ins, site_packages(task.directory), dirs_exist_ok=True, ignore=ignore)
    if task.platform == "cpu":
        (site_packages(task.directory) / "collect_less.pth").write_text(_COLLECT_LESS, "utf-8")
    if not pin.imports:
        return
    task.start_phase("compiling what a training imports")
    with suppress(StepError):
        task.run([str(task.python), "-P", "-c", _IMPORT, *pin.imports], what="importing", variables=_OFFLINE)


def find_base_interpreter(variables: Mapping[str, str]) -> str:
    """Return the Python to build with: this one if the locks support it, else an installed 3.12 or 3.11."""
    if sys.version_info[:2] in PYTHONS:
        return sys.executable
    for major, minor in reversed(PYTHONS):
        argv = [find_uv_bin(), "python", "find", f"{major}.{minor}"]
        found = subprocess.run(argv, capture_output=True, encoding="utf-8", env=dict(variables), check=False)
        if found.returncode == 0 and found.stdout.strip():
            return found.stdout.strip()
    raise StepError(
        f"the trainers need Python 3.11 or 3.12; this is {sys.version_info[0]}.{sys.version_info[1]}, and no other was found: "
        "install python3.12 (for example with `uv python install 3.12`), then sync again"
    )


def site_packages(directory: Path) -> Path:
    """Return the folder of an environment's packages."""
    found = sorted(directory.glob("lib/python3.*/site-packages"))
    return found[0] if found else directory / "lib" / "site-packages"


def _install_cpu_torch(task: Build, lock: Path, options: Sequence[str]) -> None:
    """Install the CPU build of torch, which the package registry does not have.

    It comes from a folder of wheels that pip is configured with, else from PyTorch's own index, whose address uv has.
    Only torch: uv would look for other packages there too, whose files differ.
    """
    requirement = find_requirement("torch", lock.read_text("utf-8"))
    version = locked_versions(lock)["torch"]
    python = site_packages(task.directory).parent.name.removeprefix("python")
    task.start_phase(f"installing torch {version}")
    what, index = f"cannot install torch {version} for Python {python}", []
    if not uv.has_wheel(task.settings, task.variables, "torch", version, python):
        what += " from PyTorch's index (alternatively, put its wheel into a folder of pip's find-links)"
        index = ["--torch-backend", "cpu"]
    task.uv("pip", "install", *options, *index, "--requirements", "-", what=what, stdin=requirement)


def find_requirement(name: str, lock_text: str) -> str:
    """Return the lines of a lock that pin one distribution, with its hashes."""
    return "\n".join(re.findall(rf"^{re.escape(name)}==[^\n]*(?:\n[ \t]+--hash=[^\n]*)*", lock_text, re.MULTILINE)) + "\n"
