"""Building one virtual environment from its lock: always from nothing, so that no half-done state need be understood.

From uv's cache a whole environment is linked into place in seconds, which is what makes that cheap.
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.environments import build_command, uv
from pipelines.environments.pins import Pin, locked_versions
from pipelines.environments.progress import Downloads, Progress
from pipelines.errors import StepError

if TYPE_CHECKING:
    from pipelines.trainers.base import Platform

PYTHONS = ((3, 11), (3, 12))
"""What the locks are resolved for."""


@dataclass(frozen=True)
class Building:
    """What all commands of one building share."""

    pin: Pin
    platform: Platform
    directory: Path
    log: Path
    held: int
    """The file descriptor of the lock on the folder."""
    settings: Mapping[str, str]
    """pip's."""
    variables: Mapping[str, str]
    """Of the commands."""
    progress: Progress

    @property
    def python(self) -> Path:
        """The new environment's interpreter."""
        return self.directory / "bin" / "python"

    def uv(self, *arguments: str, what: str, given: str | None = None) -> None:
        """Runs uv; raises StepError, one line that begins with `what`, when it fails."""

        downloads = Downloads()

        def watch(line: str) -> None:
            if told := downloads.describe(line):
                self.progress.detail(told)

        failures = []
        for choice in uv.index_choices(self.settings, self.variables):
            try:
                return build_command.run(
                    [uv.uv(), *arguments],
                    log=self.log,
                    variables={**self.variables, **choice},
                    what=f"{self.pin.trainer} {self.platform}: {what}",
                    held=[self.held],
                    given=given,
                    watch=watch,
                )
            except StepError as failure:
                failures.append(failure)
        # What the main index lacks is the telling one; the others are usually partial.
        raise failures[0]


def build(building: Building, base: str) -> None:
    """Builds the environment in its folder, which must not exist, with the interpreter `base`.

    Raises:
        StepError: a package cannot be had, the disk is full …: one line says which and why.
    """
    pin, platform, say = building.pin, building.platform, building.progress
    lock = pin.lock(platform)
    count = len(locked_versions(lock))
    say.phase(f"{pin.trainer} {platform}: making the environment {building.directory}")
    building.uv("venv", "--quiet", "--python", base, str(building.directory), what="cannot make the environment")
    python = ["--python", str(building.python)]
    strict = ["--require-hashes", "--no-deps"]
    if platform == "cpu":
        _install_cpu_torch(building, lock, [*python, *strict])
    say.phase(f"{pin.trainer} {platform}: fetching and installing {count} packages")
    building.uv("pip", "sync", *python, "--require-hashes", str(lock), what="cannot install its packages")
    say.phase(f"{pin.trainer} {platform}: installing {pin.name} {pin.version} and this project, both editable")
    # The lock holds their build backends, so nothing outside the lock is fetched to build them.
    editable = ["--editable", str(pin.checkout), "--editable", str(pin.root)]
    building.uv("pip", "install", *python, "--no-deps", "--no-build-isolation", *editable, what="cannot install")
    _put_stand_ins(building)
    say.phase(f"{pin.trainer} {platform}: compiling, so that workers need not at each start")
    places = [str(site_packages(building.directory)), str(pin.checkout / pin.code)]
    # Some packages ship files for newer Pythons, which do not compile here and are never imported: not a failure.
    with suppress(StepError):
        argv = [str(building.python), "-m", "compileall", "-q", "-j", "0", *places]
        build_command.run(argv, log=building.log, variables=building.variables, what="compiling", held=[building.held])


def base_interpreter(variables: Mapping[str, str]) -> str:
    """The Python to build with: this one where the locks serve it, else an installed 3.12 or 3.11.

    Raises:
        StepError: there is none.
    """
    if sys.version_info[:2] in PYTHONS:
        return sys.executable
    import subprocess

    for version in reversed(PYTHONS):
        wanted = ".".join(map(str, version))
        argv = [uv.uv(), "python", "find", wanted]
        found = subprocess.run(argv, capture_output=True, text=True, env=dict(variables), check=False)
        if found.returncode == 0 and found.stdout.strip():
            return found.stdout.strip()
    here = ".".join(map(str, sys.version_info[:2]))
    raise StepError(
        f"the trainers need Python 3.11 or 3.12; this is {here}, and no other was found: "
        "install python3.12 (for example with `uv python install 3.12`), then sync again"
    )


def site_packages(directory: Path) -> Path:
    """Where an environment's packages lie."""
    found = next(iter(sorted(directory.glob("lib/python3.*/site-packages"))), None)
    return found or directory / "lib" / "site-packages"


def _install_cpu_torch(building: Building, lock: Path, options: Sequence[str]) -> None:
    """Installs the CPU build of torch, which the package registry does not have.

    It is taken from a folder of wheels that pip is configured with, if that has the file; else from PyTorch's own
    index, whose address uv knows. Only torch: uv would look for other packages there too, whose files differ.
    """
    requirement = requirement_of("torch", lock.read_text("utf-8"))
    version = locked_versions(lock)["torch"]
    name = site_packages(building.directory).parent.name.removeprefix("python")
    major, minor = (int(part) for part in name.split("."))
    building.progress.phase(f"{building.pin.trainer} {building.platform}: installing torch {version}")
    local = uv.has_file(building.settings, building.variables, "torch", version, (major, minor))
    where = [] if local else ["--torch-backend", "cpu"]
    what = f"cannot install torch {version} for Python {name}"
    if not local:
        what += " from PyTorch's index (a folder with its wheel, named in pip's find-links, does as well)"
    building.uv("pip", "install", *options, *where, "--requirements", "-", what=what, given=requirement)


def requirement_of(name: str, lock_text: str) -> str:
    """The lines of a lock that pin one distribution, with its hashes."""
    return "\n".join(re.findall(rf"^{re.escape(name)}==[^\n]*(?:\n[ \t]+--hash=[^\n]*)*", lock_text, re.MULTILINE)) + "\n"


def _put_stand_ins(building: Building) -> None:
    """Copies what stands in for packages that have no build for this platform, and records it as installed."""
    stand_ins = building.pin.stand_ins(building.platform)
    if stand_ins.is_dir():
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(stand_ins, site_packages(building.directory), dirs_exist_ok=True, ignore=ignore)
