"""Build environments side by side."""

from __future__ import annotations

import os
import platform as machine
import sys
import threading
from collections.abc import Collection, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pipelines.console.progress import Progress
from pipelines.environments import stamp
from pipelines.environments.build_command import Commands
from pipelines.environments.choice import Environment, pinned_environment
from pipelines.environments.pins import TrainerName
from pipelines.environments.progress import show_phases
from pipelines.environments.sync import bring_up_to_date
from pipelines.errors import InputError, PipelineError, StepError, file_error
from pipelines.shipped import DATA

if TYPE_CHECKING:
    from pipelines.environments.stamp import Source
    from pipelines.trainers.base import Platform

_NICE = 10
"""How much a build that can wait gives way to what the run does meanwhile."""


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
    found = pinned_environment(trainer, platform, root)
    with Builds([found], source=source) as builds:
        builds.wait_all()
    return found


class Builds:
    """Environments that are built side by side, each in a thread. Leaving the block ends those that are not complete.

    Args:
        environments: Pinned environments; those that are up to date are left out.
        later: Names of trainers whose environments are not needed first: their builds give way to all other work.
        beside: The progress to report next to.
        source: Where the sources must come from.

    Raises:
        InputError: The locks do not support this machine.
    """

    def __init__(
        self,
        environments: Sequence[Environment],
        *,
        later: Collection[str] = (),
        beside: Progress | None = None,
        source: Source | None = None,
    ) -> None:
        self._missing = [
            each
            for each in environments
            if not (each.is_ready() and (source is None or stamp.is_checkout_from(each.pin, source)))
        ]
        if self._missing and (sys.platform != "linux" or machine.machine() != "x86_64"):
            raise InputError(
                f"the pinned environments are for Linux on x86_64, this machine is {sys.platform} on {machine.machine()}; "
                "name existing Pythons in `environments:` of the recipe"
            )
        self._later, self._beside, self._source = later, beside, source
        self._commands = Commands()
        self._futures: dict[str, Future[None]] = {}

    def __enter__(self) -> Self:
        if self._missing:
            # Later, standard error may be replaced by what draws the bars of standard output.
            self._stream = sys.stderr
            self._progress = self._beside or Progress(self._stream)
            self._pool = ThreadPoolExecutor(len(self._missing), "build")
            self._futures = {each.pin.trainer: self._pool.submit(self._build, each) for each in self._missing}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._futures:
            self._commands.end()
            self._pool.shutdown(cancel_futures=True)
            if self._progress is not self._beside:
                self._progress.close()

    def __contains__(self, trainer: str) -> bool:
        """Return whether the trainer's environment is built here."""
        return trainer in self._futures

    def running(self, trainers: Collection[str]) -> list[str]:
        """Return the trainers among these whose environment is not complete."""
        return [name for name in trainers if name in self._futures and not self._futures[name].done()]

    def wait(self, trainers: Collection[str]) -> None:
        """Wait for the environments of these trainers.

        Raises:
            StepError: A build failed, of these or of the others.
        """
        self._raise_failure()
        while self.running(trainers):
            wait([each for each in self._futures.values() if not each.done()], return_when=FIRST_COMPLETED)
            self._raise_failure()

    def wait_all(self) -> None:
        """Wait for all environments; a failed build does not end the others.

        Raises:
            StepError: Builds failed; a line each.
        """
        wait(self._futures.values())
        self._raise_failure()

    def _raise_failure(self) -> None:
        errors = [error for each in self._futures.values() if each.done() and (error := each.exception())]
        for error in errors:
            if not isinstance(error, PipelineError):
                raise error
        if errors:
            raise StepError("\n".join(map(str, errors)))

    def _build(self, environment: Environment) -> None:
        if environment.pin.trainer in self._later:
            # Of this thread, and of the commands that it starts.
            with suppress(OSError):
                before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
                os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), min(19, before + _NICE))
        with show_phases(environment, self._stream, self._progress) as phases:
            try:
                try:
                    bring_up_to_date(environment, self._source, phases, self._commands)
                except OSError as error:
                    where, name = error.filename or environment.directory, environment.pin.trainer
                    raise file_error(f"{name} {environment.platform}: {where}: {error.strerror or error}", error) from None
            except StepError:
                phases.end("the build failed", failed=True)
                raise
