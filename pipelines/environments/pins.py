"""The pinned upstreams: per trainer a pin and a lock per platform, from `third_party/`."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from pipelines.errors import InputError
from pipelines.shipped import DATA, cache_folder

if TYPE_CHECKING:
    from pipelines.trainers.base import Platform

TrainerName = Literal["llamafactory", "verl"]
TRAINERS: tuple[TrainerName, ...] = ("llamafactory", "verl")
PLATFORMS: tuple[Platform, ...] = ("cpu", "cuda")


@dataclass(frozen=True)
class Pin:
    """One upstream at an exact version."""

    folder: Path
    """`third_party/<trainer>/`."""
    name: str
    """The name of the distribution."""
    version: str
    sha256: str
    """Digest of the source archive in the package registry."""
    repository: str
    tag: str
    module: str
    """The package to import."""
    shows: tuple[str, ...]
    """Distributions whose versions `pipeline env list` shows."""
    imports: tuple[str, ...]
    """Modules to import once when the environment is built, which compiles them with all that they import."""

    @property
    def trainer(self) -> TrainerName:
        """The trainer's name, which is that of its folder."""
        return cast(TrainerName, self.folder.name)

    @property
    def project(self) -> Path | None:
        """The checkout of this project, to install into the environments; None for an installed package."""
        root = self.folder.parent.parent
        return root if (root / "pyproject.toml").is_file() else None

    @property
    def build_folder(self) -> Path:
        """The folder of what is built: next to the pin in a checkout of this project, else in the user's cache."""
        return self.folder if self.project else cache_folder() / self.trainer

    @property
    def checkout(self) -> Path:
        """The unpacked source, from which the environments import the trainer."""
        return self.build_folder / "checkout"

    def lock(self, platform: Platform) -> Path:
        """Return the lock file of a platform; it need not exist."""
        return self.folder / f"{platform}.txt"

    def stand_ins(self, platform: Platform) -> Path:
        """Return the folder of stub packages for a platform, which replace packages that have no build for it."""
        return self.folder / "stand_ins" / platform

    def environment(self, platform: Platform) -> Path:
        """Return the environment's folder; PIPELINE_ENVIRONMENTS moves it to another disk."""
        if elsewhere := os.environ.get("PIPELINE_ENVIRONMENTS"):
            return Path(elsewhere).expanduser().absolute() / self.trainer / platform
        return self.build_folder / "environments" / platform


@lru_cache
def pin(trainer: str, root: Path = DATA) -> Pin:
    """Read the pin of a trainer; `root` is the folder that contains `third_party`.

    Raises:
        InputError: The trainer is not pinned, or its pin cannot be read.
    """
    folder = root / "third_party" / trainer
    file = folder / "pin.toml"
    try:
        values = tomllib.loads(file.read_text("utf-8"))
        values |= {key: tuple(values[key]) for key in ("shows", "imports")}
        return Pin(folder=folder, **values)
    except FileNotFoundError:
        known = ", ".join(sorted(f.parent.name for f in folder.parent.glob("*/pin.toml"))) or "none"
        raise InputError(f"{file}: trainer {trainer!r} is not pinned; available: {known}") from None
    except (KeyError, TypeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{file}: not a pin: {error}") from None


def locked_versions(lock: Path) -> dict[str, str]:
    """Return distribution -> version of a lock; where it pins one version per Python, the last."""
    lines = re.findall(r"(?m)^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)", lock.read_text("utf-8"))
    return {name.lower().replace("_", "-"): version for name, version in lines}
