"""Choose the Python of a trainer: the recipe's, the one in a variable, or the pinned one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.environments import stamp
from pipelines.environments.ask import AskError, ask
from pipelines.environments.gpus import count_gpus
from pipelines.environments.pins import PLATFORMS, TRAINERS, Pin, TrainerName, pin
from pipelines.errors import InputError
from pipelines.shipped import DATA, python_path

if TYPE_CHECKING:
    from pipelines.trainers.base import Platform

_SECONDS = 60.0

# verl finds the plugin by its entry point, which is missing where this project is on the path but not installed.
_PLUGINS = {"verl": {"VERL_USE_EXTERNAL_MODULES": "pipelines.trainers.verl.plugin"}}

_VERSIONS = """
import importlib.metadata, importlib.util, json, sys
name, module = sys.argv[1:]
try:
    version = importlib.metadata.version(name)
except importlib.metadata.PackageNotFoundError:
    version = "unknown" if importlib.util.find_spec(module) else None
print(json.dumps([list(sys.version_info[:3]), version]))
"""


@dataclass(frozen=True)
class Environment:
    """The Python that a trainer runs in."""

    pin: Pin
    platform: Platform
    python: Path
    """The interpreter; it need not exist yet."""
    chosen_by: str
    """`pinned`, or the key or variable that names an existing Python: `environments.verl`, `PIPELINE_VERL_PYTHON`."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Variables that make this project importable in it; empty where it is installed."""

    @property
    def pinned(self) -> bool:
        """Whether this project builds it."""
        return self.chosen_by == "pinned"

    @property
    def directory(self) -> Path:
        """The folder of the virtual environment."""
        return self.python.parent.parent

    @property
    def sync_command(self) -> str:
        """The command that builds it."""
        return f"pipeline env sync {self.pin.trainer} --platform {self.platform}"

    def why_not_ready(self) -> str | None:
        """Return why it cannot be used; None if it can. Starts no process: `check` runs an existing Python."""
        if self.pinned:
            reason = stamp.why_stale(self.directory, stamp.expected(self.pin, self.platform))
            return reason or stamp.why_checkout_stale(self.pin)
        if not self.python.is_file():
            return f"{self.python}: no such file"
        if not os.access(self.python, os.X_OK):
            return f"{self.python}: not executable"
        return None

    def is_ready(self) -> bool:
        """Return whether it can be used; `sync` makes a pinned one ready."""
        return self.why_not_ready() is None

    def check(self) -> str:
        """Run its Python and return the version of the trainer, `unknown` where only the source is on the path.

        Raises:
            InputError: It is not ready, does not run, is older than Python 3.11, or lacks the trainer.
        """
        name, reason = self.pin.name, self.why_not_ready()
        if reason and self.pinned:
            what = f"the environment of {self.pin.trainer} for {self.platform}"
            raise InputError(f"{what}: {reason}; build it with `{self.sync_command}`")
        if reason:
            raise InputError(f"{self.chosen_by}: {reason}; expected a Python that has {name}")
        try:
            python, version = ask(
                self.python, ["-c", _VERSIONS, name, self.pin.module], variables=self.variables, timeout=_SECONDS
            )
        except (AskError, TypeError, ValueError) as error:
            raise InputError(f"{self.chosen_by}: {self.python} does not work as a Python: {error}") from None
        if tuple(python) < (3, 11):
            found = ".".join(map(str, python))
            raise InputError(f"{self.chosen_by}: {self.python} is Python {found}; at least 3.11 is needed")
        if version is None:
            raise InputError(f"{self.chosen_by}: {self.python} has no {name}; {name} {self.pin.version} is expected")
        return str(version)


def environment(
    trainer: TrainerName, platform: Platform, recipe_python: str | Path | None = None, *, root: Path = DATA
) -> Environment:
    """Choose the environment of a trainer, which need not be built. Reads small files, starts no process.

    Args:
        recipe_python: The recipe's `environments.<trainer>`; it takes precedence over the variable
            PIPELINE_<TRAINER>_PYTHON, and that over the pinned environment.
        root: The folder that contains `third_party`.

    Raises:
        InputError: The pinned environment is chosen, and the platform has no lock.
    """
    variable = f"PIPELINE_{trainer.upper()}_PYTHON"
    for value, chosen_by in ((recipe_python, f"environments.{trainer}"), (os.environ.get(variable), variable)):
        if value:
            variables = {"PYTHONPATH": python_path(), **_PLUGINS.get(trainer, {})}
            return Environment(pin(trainer, root), platform, Path(value).expanduser().absolute(), chosen_by, variables)
    return pinned_environment(trainer, platform, root)


def pinned_environment(trainer: TrainerName, platform: Platform, root: Path = DATA) -> Environment:
    """Return the pinned environment of a trainer."""
    pinned = pin(trainer, root)
    known = [name for name in PLATFORMS if pinned.lock(name).is_file()]
    if platform not in known:
        raise InputError(
            f"{pinned.lock(platform)}: {trainer} has no lock for platform {platform!r}; available: {', '.join(known) or 'none'}"
        )
    return Environment(pinned, platform, pinned.environment(platform) / "bin" / "python", "pinned")


def detected_platform(devices: Path = Path("/dev")) -> Platform:
    """Return `cuda` if this machine has a visible NVIDIA GPU, else `cpu`. Looks for device files, starts no process."""
    # nvidia0 natively and in containers; dxg under WSL.
    return "cuda" if count_gpus(devices) or (devices / "dxg").exists() else "cpu"


def find_ready() -> Environment | None:
    """Return the first environment that is ready, for work with a library that the orchestrator lacks; None if none is."""
    platform = detected_platform()
    return next((found for trainer in TRAINERS if (found := environment(trainer, platform)).is_ready()), None)


def find_with_ray() -> Environment:
    """Return verl's environment, which has Ray; it must be ready."""
    found = environment("verl", detected_platform())
    if not found.is_ready():
        raise InputError("--ray needs Ray, which is in verl's environment; build it with `pipeline env sync verl`")
    return found
