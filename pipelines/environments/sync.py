"""Bring checkouts and environments up to date with the pins, under a lock; instant if nothing changed."""

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

from pipelines.environments import stamp
from pipelines.environments.choice import Environment, pinned_environment
from pipelines.environments.pins import TrainerName
from pipelines.errors import InputError, StepError
from pipelines.shipped import DATA

if TYPE_CHECKING:
    from pipelines.environments.progress import Phases
    from pipelines.environments.stamp import Source
    from pipelines.trainers.base import Platform


def sync(trainer: TrainerName, platform: Platform, *, source: Source | None = None, root: Path = DATA) -> Environment:
    """Download the pinned source and build the pinned environment, if either is missing or out of date.

    A killed call is repaired by the next one; a concurrent call waits for the first.

    Args:
        source: Where the source must come from; default: the registry, or keep a checkout of the pin from either.
        root: The folder that contains `third_party`.

    Raises:
        InputError: The platform has no lock, or the locks do not support this machine.
        StepError: The build failed.
    """
    built = pinned_environment(trainer, platform, root)
    if built.is_ready() and (source is None or stamp.is_checkout_from(built.pin, source)):
        return built
    if sys.platform != "linux" or machine.machine() != "x86_64":
        raise InputError(
            f"the pinned environments are for Linux on x86_64, this machine is {sys.platform} on {machine.machine()}; "
            "name existing Pythons in `environments:` of the recipe"
        )
    from pipelines.environments.progress import show_phases

    with show_phases() as phases:
        try:
            _sync(built, source, phases)
        except OSError as error:
            where = error.filename or built.directory
            raise StepError(f"{trainer} {platform}: {where}: {error.strerror or error}") from None
    return built


def _sync(built: Environment, source: Source | None, phases: Phases) -> None:
    from pipelines.console.sizes import format_bytes, size_on_disk
    from pipelines.environments import building, fetch, uv

    pinned, platform, directory = built.pin, built.platform, built.directory
    settings = uv.read_pip_settings()
    variables = {**os.environ, **uv.uv_variables(settings, os.environ)}
    # The environment of the caller must not affect the one that is built.
    for name in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME"):
        variables.pop(name, None)
    started = time.monotonic()
    home = pinned.build_folder / "environments"
    home.mkdir(parents=True, exist_ok=True)
    directory.parent.mkdir(parents=True, exist_ok=True)
    with _locked(home / ".lock", pinned.trainer, phases) as lock:
        log = home / f"{platform}.log"
        task = building.Build(pinned, platform, directory, log, lock, settings, variables, phases)
        if stamp.why_checkout_stale(pinned) or (source and not stamp.is_checkout_from(pinned, source)):
            log.write_text("", "utf-8")
            fetch.fetch(task, source or "registry")
        if not built.is_ready():
            log.write_text("", "utf-8")
            wanted = stamp.expected(pinned, platform)
            _remove(directory)
            building.build(task, building.find_base_interpreter(variables))
            wanted["python"] = building.site_packages(directory).parent.name
            stamp.write(directory, wanted)
    size = format_bytes(size_on_disk(directory))
    phases.start(f"{pinned.trainer} {platform}: ready in {time.monotonic() - started:.0f} s, {size}")


@contextmanager
def _locked(file: Path, trainer: str, phases: Phases) -> Iterator[int]:
    """Hold a lock and yield its file descriptor.

    Not filelock's: commands inherit the descriptor, so the folder stays locked while any of them writes into it, even if
    the process that started them was killed.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = file.read_text("utf-8").strip() or "unknown"
            phases.start(f"{trainer}: waiting for another sync to end (process {holder} or its children)")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _remove(directory: Path) -> None:
    """Remove an old environment; renamed first, so that a partly removed one never counts as complete."""
    for old in directory.parent.glob(f".{directory.name}.old-*"):
        shutil.rmtree(old)
    if not directory.exists():
        return
    if not (directory / "pyvenv.cfg").exists() and any(directory.iterdir()):
        raise StepError(f"{directory} is not a virtual environment, so it is not replaced; move it away, then sync again")
    hidden = directory.with_name(f".{directory.name}.old-{os.getpid()}")
    directory.rename(hidden)
    shutil.rmtree(hidden)
