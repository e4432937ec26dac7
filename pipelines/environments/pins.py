"""What is pinned: per trainer a pin and a lock per platform, as `third_party/` holds them."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

from pipelines.errors import InputError

if TYPE_CHECKING:
    from pipelines.trainers.base import Platform

TrainerName = Literal["llamafactory", "verl"]
TRAINERS: tuple[TrainerName, ...] = ("llamafactory", "verl")
PLATFORMS: tuple[Platform, ...] = ("cpu", "cuda")

ROOT = Path(__file__).resolve().parents[2]
"""The project's folder: it is used from a checkout, which has `third_party/` beside this package."""

_PINNED_LINE = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)", re.MULTILINE)


@dataclass(frozen=True)
class Pin:
    """One upstream, exactly: the version, and the ways in which its source is had."""

    folder: Path
    """`third_party/<trainer>/`, which holds everything that belongs to the pin."""
    name: str
    """The distribution's name."""
    version: str
    sha256: str
    """Of the source archive in the package registry."""
    repository: str
    tag: str
    module: str
    """The package that is imported."""
    code: str
    """The folder of the checkout in which that package lies."""
    shows: tuple[str, ...]
    """Distributions whose versions tell people what an environment is."""

    @property
    def trainer(self) -> TrainerName:
        """The trainer's name: that of its folder."""
        return cast(TrainerName, self.folder.name)

    @property
    def root(self) -> Path:
        """The project's folder, which is installed into the environments beside the trainer."""
        return self.folder.parent.parent

    @property
    def checkout(self) -> Path:
        """The pinned source, unpacked; the environments import the trainer from here."""
        return self.folder / "checkout"

    def lock(self, platform: Platform) -> Path:
        """The full lock of a platform; it need not exist."""
        return self.folder / f"{platform}.txt"

    def stand_ins(self, platform: Platform) -> Path:
        """Modules and metadata put into the environment in place of packages that have no build for the platform."""
        return self.folder / "stand_ins" / platform

    def environment(self, platform: Platform) -> Path:
        """Where the environment of a platform is built; PIPELINE_ENVIRONMENTS moves it to another disk."""
        elsewhere = os.environ.get("PIPELINE_ENVIRONMENTS")
        if elsewhere:
            return Path(elsewhere).expanduser().absolute() / self.trainer / platform
        return self.folder / "environments" / platform


def pin(trainer: str, root: Path = ROOT) -> Pin:
    """The pin of a trainer.

    Raises:
        InputError: no trainer of that name is pinned, or its pin cannot be read.
    """
    return _read(root / "third_party" / trainer)


def require_lock(pinned: Pin, platform: str) -> Path:
    """The lock of a platform, which must exist.

    Raises:
        InputError: the platform has no lock for this trainer.
    """
    if platform in PLATFORMS:
        lock = pinned.lock(platform)
        if lock.is_file():
            return lock
    there = ", ".join(p for p in PLATFORMS if pinned.lock(p).is_file()) or "none"
    raise InputError(
        f"{pinned.folder / f'{platform}.txt'}: no lock of {pinned.trainer} for platform {platform!r}; there is: {there}"
    )


def locked_versions(lock: Path) -> dict[str, str]:
    """Distribution -> version, as a lock pins them; where Pythons differ, the last one said."""
    return {name.lower().replace("_", "-"): version for name, version in _PINNED_LINE.findall(lock.read_text("utf-8"))}


@lru_cache
def _read(folder: Path) -> Pin:
    file = folder / "pin.toml"
    try:
        values = tomllib.loads(file.read_text("utf-8"))
        values["shows"] = tuple(values["shows"])
        return Pin(folder=folder, **values)
    except FileNotFoundError:
        if not folder.parent.is_dir():
            raise InputError(f"{folder.parent} is missing: this project is used from a checkout (pip install -e .)") from None
        there = ", ".join(sorted(f.parent.name for f in folder.parent.glob("*/pin.toml"))) or "none"
        raise InputError(f"{file}: no trainer {folder.name!r} is pinned; there is: {there}") from None
    except (KeyError, TypeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{file}: not a pin: {error}") from None
