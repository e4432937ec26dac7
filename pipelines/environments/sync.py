"""Making what is built what is pinned: a trainer and platform at a time, under a lock, instant if nothing changed."""

from __future__ import annotations

import fcntl
import os
import platform as machine
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.environments import checkout, stamp
from pipelines.environments.checkout import Source
from pipelines.environments.choice import Environment
from pipelines.environments.pins import ROOT, TrainerName, pin, require_lock
from pipelines.environments.progress import Progress, shown
from pipelines.errors import InputError, StepError

if TYPE_CHECKING:
    from pipelines.trainers.base import Platform


def sync(
    trainer: TrainerName,
    platform: Platform,
    *,
    source: Source | None = None,
    progress: Progress | None = None,
    root: Path = ROOT,
) -> Environment:
    """Fetches the pinned source and builds the pinned environment, where either is missing or out of date.

    `source` says where the source comes from, "registry" or by git tag; an existing checkout of the pin is kept if it
    is not said. Killed at any moment, the next call repairs it. A second call at the same time waits for the first.

    Raises:
        InputError: the platform has no lock, or this machine is not one that the locks serve.
        StepError: a package cannot be had, the disk is full …
    """
    pinned = pin(trainer, root)
    require_lock(pinned, platform)
    directory = pinned.environment(platform)
    built = Environment(pinned, platform, directory / "bin" / "python", "pinned")
    if built.is_ready() and (source is None or checkout.up_to_date(pinned, source)):
        return built
    _require_machine()
    if progress is None:
        with shown() as progress:
            return _sync(built, source, progress)
    return _sync(built, source, progress)


def _sync(built: Environment, source: Source | None, progress: Progress) -> Environment:
    from pipelines.environments import building, uv
    from pipelines.environments import fetch as source_of

    pinned, platform, directory = built.pin, built.platform, built.directory
    settings = uv.pip_settings()
    variables = {**os.environ, **uv.uv_variables(settings, os.environ)}
    # A virtual environment that is active here is no business of the one that is built.
    for name in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME"):
        variables.pop(name, None)
    began = time.monotonic()
    home = pinned.folder / "environments"
    try:
        home.mkdir(parents=True, exist_ok=True)
        directory.parent.mkdir(parents=True, exist_ok=True)
        with _locked(home / ".lock", pinned.trainer, progress) as held:
            log = home / f"{platform}.log"
            if checkout.differs(pinned) or (source and not checkout.up_to_date(pinned, source)):
                log.write_text("", "utf-8")
                source_of.fetch(pinned, source or "registry", variables=variables, log=log, held=held, progress=progress)
            if not built.is_ready():
                log.write_text("", "utf-8")
                wanted = stamp.expected(pinned, platform)
                _remove(directory)
                base = building.base_interpreter(variables)
                plan = building.Building(pinned, platform, directory, log, held, settings, variables, progress)
                building.build(plan, base)
                wanted["python"] = building.site_packages(directory).parent.name
                stamp.write(directory, wanted)
    except OSError as error:
        raise StepError(f"{pinned.trainer} {platform}: {error.filename or directory}: {error.strerror or error}") from None
    progress.phase(f"{pinned.trainer} {platform}: ready in {time.monotonic() - began:.0f} s, {_size(directory)}")
    return built


def _require_machine() -> None:
    if sys.platform != "linux" or machine.machine() != "x86_64":
        raise InputError(
            f"the pinned environments are for Linux on x86_64, this machine is {sys.platform} on {machine.machine()}; "
            "point `environments:` of the recipe at Pythons of your own"
        )


@contextmanager
def _locked(file: Path, trainer: str, progress: Progress) -> Iterator[int]:
    """Holds a lock; yields its file descriptor.

    Not filelock's: the commands inherit the descriptor, so that the folder stays locked while any of them still
    writes into it, even when the process that started them was killed.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = file.read_text("utf-8").strip() or "unknown"
            progress.phase(f"{trainer}: waiting for another sync to end (process {holder}, or what it has started)")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _remove(directory: Path) -> None:
    """Removes an old environment: first out of sight, so that a half-removed one is never taken for a whole one."""
    for leftover in directory.parent.glob(f".{directory.name}.old-*"):
        shutil.rmtree(leftover)
    if not directory.exists():
        return
    if not (directory / "pyvenv.cfg").exists() and any(directory.iterdir()):
        raise StepError(f"{directory} is not a virtual environment, so it is left alone; move it away, then sync again")
    hidden = directory.with_name(f".{directory.name}.old-{os.getpid()}")
    directory.rename(hidden)
    shutil.rmtree(hidden)


def _size(directory: Path) -> str:
    from pipelines.environments.listing import readable, size_on_disk

    return readable(size_on_disk(directory))
