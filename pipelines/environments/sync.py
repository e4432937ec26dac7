"""Bring a checkout and an environment up to date with the pin, under a lock; instant if nothing changed."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.environments import stamp
from pipelines.environments.build_command import Commands
from pipelines.environments.choice import Environment
from pipelines.environments.progress import Phases
from pipelines.errors import StepError

if TYPE_CHECKING:
    from pipelines.environments.stamp import Source

_LOCK_SECONDS = 0.2


def bring_up_to_date(built: Environment, source: Source | None, phases: Phases, commands: Commands) -> None:
    """Download the pinned source and build the pinned environment, if either is missing or out of date, under a lock.

    Args:
        built: A pinned environment.
        source: Where the source must come from; None: the registry, or keep a checkout of the pin from either.
        phases: Where to report.
        commands: The commands that another thread can end.
    """
    from pipelines.console.sizes import format_bytes, size_on_disk
    from pipelines.environments import building, fetch, uv

    pinned, platform, directory = built.pin, built.platform, built.directory
    settings = uv.read_pip_settings()
    variables = {**os.environ, **uv.uv_variables(settings, os.environ)}
    # The environment of the caller must not affect the one that is built.
    for name in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE"):
        variables.pop(name, None)
    started = time.monotonic()
    home = pinned.build_folder / "environments"
    home.mkdir(parents=True, exist_ok=True)
    directory.parent.mkdir(parents=True, exist_ok=True)
    with _locked(home / ".lock", phases, commands) as lock:
        log = home / f"{platform}.log"
        task = building.Build(pinned, platform, directory, log, lock, settings, variables, phases, commands)
        if stamp.why_checkout_stale(pinned) or (source and not stamp.is_checkout_from(pinned, source)):
            phases.expect(1)
            log.write_text("", "utf-8")
            fetch.fetch(task, source or "registry")
        if not built.is_ready():
            phases.expect(building.count_phases(pinned, platform))
            log.write_text("", "utf-8")
            wanted = stamp.expected(pinned, platform)
            _remove(directory)
            building.build(task, building.find_base_interpreter(variables))
            wanted["python"] = building.site_packages(directory).parent.name
            stamp.write(directory, wanted)
    phases.end(f"ready in {time.monotonic() - started:.0f} s, {format_bytes(size_on_disk(directory))}")


@contextmanager
def _locked(file: Path, phases: Phases, commands: Commands) -> Iterator[int]:
    """Hold a lock and yield its file descriptor.

    Not filelock's: commands inherit the descriptor, so the folder stays locked while any of them writes into it, even if
    the process that started them was killed.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        waiting = False
        while not _is_free(descriptor):
            if not waiting:
                holder = file.read_text("utf-8").strip() or "unknown"
                phases.start(f"waiting for another sync to end (process {holder} or its children)")
                waiting = True
            # In steps: in a thread, waiting for the lock itself could not be interrupted.
            commands.pause(_LOCK_SECONDS)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _is_free(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


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
