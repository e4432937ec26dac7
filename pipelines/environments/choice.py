"""Which Python a trainer runs in: the recipe's, the caller's, or the pinned one. Choosing reads a few small files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.environments import checkout, stamp
from pipelines.environments.pins import ROOT, Pin, TrainerName, pin, require_lock
from pipelines.errors import InputError

if TYPE_CHECKING:
    from pipelines.trainers.base import Platform

_ASK_SECONDS = 60.0

# Where this project is on the path but not installed, verl finds no entry point of it, and is told by name.
_PLUGINS = {"verl": {"VERL_USE_EXTERNAL_MODULES": "pipelines.trainers.verl.plugin"}}

_ASK = """
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
    """The Python that a trainer runs in, and how it was chosen."""

    pin: Pin
    platform: Platform
    python: Path
    """Its interpreter; it need not exist yet."""
    chosen_by: str
    """`pinned`, or what pointed at an existing Python: `environments.verl`, `PIPELINE_VERL_PYTHON`."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Variables that make this project importable in it; empty where it is installed."""

    @property
    def pinned(self) -> bool:
        """Whether this project builds it; otherwise somebody else does."""
        return self.chosen_by == "pinned"

    @property
    def directory(self) -> Path:
        """The virtual environment's folder."""
        return self.python.parent.parent

    @property
    def source(self) -> Path:
        """The pinned checkout of the trainer, whose schema a recipe's upstream keys are checked against."""
        return self.pin.checkout

    @property
    def remedy(self) -> str:
        """The command that builds it."""
        return f"pipeline env sync {self.pin.trainer} --platform {self.platform}"

    def unready(self) -> str | None:
        """Why it cannot be used as it is; None when it can. Instant: starts no process.

        An existing Python is only looked at from outside; `check` asks it.
        """
        if self.pinned:
            reason = stamp.differs(self.directory, stamp.expected(self.pin, self.platform))
            return reason or checkout.differs(self.pin)
        if not self.python.is_file():
            return f"{self.python}: no such file"
        if not os.access(self.python, os.X_OK):
            return f"{self.python}: not executable"
        return None

    def is_ready(self) -> bool:
        """Whether it can be used as it is; a pinned one that is not ready wants `sync`."""
        return self.unready() is None

    def check(self) -> str:
        """The version of the trainer in it (`unknown` where its source is merely on the path), by asking its Python.

        Raises:
            InputError: it is not there, does not run, is no Python 3.11 or newer, or lacks the trainer.
        """
        name, unready = self.pin.name, self.unready()
        if unready and self.pinned:
            what = f"the environment of {self.pin.trainer} for {self.platform}"
            raise InputError(f"{what}: {unready}; build it with `{self.remedy}`")
        if unready:
            raise InputError(f"{self.chosen_by}: {unready}; expected a Python that has {name}")
        python, version = self._ask()
        if python < (3, 11):
            found = ".".join(map(str, python))
            raise InputError(f"{self.chosen_by}: {self.python} is Python {found}; at least 3.11 is needed")
        if version is None:
            wanted = f"{name} {self.pin.version}"
            raise InputError(f"{self.chosen_by}: {self.python} has no {name}; {wanted} is expected")
        return version

    def _ask(self) -> tuple[tuple[int, ...], str | None]:
        import json
        import subprocess

        argv = [str(self.python), "-c", _ASK, self.pin.name, self.pin.module]
        environ = {**os.environ, **self.variables}
        why: object
        try:
            answer = subprocess.run(argv, capture_output=True, text=True, timeout=_ASK_SECONDS, check=True, env=environ)
            python, version = json.loads(answer.stdout.splitlines()[-1])
            return tuple(python), version
        except subprocess.CalledProcessError as error:
            why = (error.stderr.strip().splitlines() or [f"exit status {error.returncode}"])[-1]
        except subprocess.TimeoutExpired:
            why = f"no answer within {_ASK_SECONDS:.0f} s"
        except (OSError, ValueError, IndexError) as error:
            why = error
        raise InputError(f"{self.chosen_by}: {self.python} does not work as a Python: {why}")


def environment(
    trainer: TrainerName, platform: Platform, recipe_python: str | Path | None = None, *, root: Path = ROOT
) -> Environment:
    """The environment of a trainer: the recipe's `environments.<trainer>`, else the variable, else the pinned one.

    Pure but for reading the pin and the variables; the environment need not be built.

    Raises:
        InputError: the platform has no lock (only where the pinned environment is what would be used).
    """
    pinned = pin(trainer, root)
    variable = f"PIPELINE_{trainer.upper()}_PYTHON"
    given = [(recipe_python, f"environments.{trainer}"), (os.environ.get(variable), variable)]
    for value, said_by in given:
        if value:
            # This project is not installed in somebody else's environment, so it goes onto its path, before the rest.
            path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
            python = Path(value).expanduser().absolute()
            return Environment(pinned, platform, python, said_by, {"PYTHONPATH": path, **_PLUGINS.get(trainer, {})})
    require_lock(pinned, platform)
    return Environment(pinned, platform, pinned.environment(platform) / "bin" / "python", "pinned")
