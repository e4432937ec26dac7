"""Conversion on a Ray cluster: jobs go to a child process with verl's Python, which has Ray, and parts come back."""

from __future__ import annotations

import os
import pickle
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from preprocess.engine.convert import Part
from preprocess.engine.job import Job
from preprocess.errors import PrepareError
from rewards.sandbox import Settings

_SECONDS = 30.0


@dataclass(frozen=True)
class Cluster:
    """A cluster. The sources and any converter file are at the same paths on all its machines."""

    address: str
    """host:port, `auto` for this machine's cluster, or `local` to start one here that ends with the conversion."""
    python: Path
    """The Python of verl's environment."""
    settings: Settings = field(default_factory=Settings)
    """The sandbox of the programs that run there."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Variables that make this project importable in that Python, where it is not installed."""

    def convert(self, jobs: Sequence[Job]) -> Iterator[Part]:
        """Convert as `preprocess.engine.parallel.convert_all`, in the same order.

        Raises:
            SourceError, SandboxError, PrepareError: As there; or the cluster is missing or failed.
        """
        argv = [str(self.python), "-m", "preprocess.ray.convert_on_cluster", self.address, str(os.getpid())]
        variables = {**os.environ, **self.variables}
        with tempfile.TemporaryFile() as log:
            try:
                child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=variables)
            except OSError as error:
                raise PrepareError(f"{self.python}: {error.strerror}") from None
            assert child.stdin is not None and child.stdout is not None
            try:
                with child.stdin:
                    pickle.dump((tuple(jobs), self.settings), child.stdin)
                while (made := pickle.load(child.stdout)) is not None:
                    if isinstance(made, Exception):
                        raise made
                    yield made
                _wait(child)  # it shuts its cluster down
            except (EOFError, BrokenPipeError, pickle.UnpicklingError):
                _wait(child)
                raise PrepareError(f"Ray: {_find_last_line(log)}") from None
            finally:
                child.stdout.close()
                child.terminate()
                if not _wait(child):
                    child.kill()
                    child.wait()


def _wait(child: subprocess.Popen[bytes]) -> bool:
    with suppress(subprocess.TimeoutExpired):
        child.wait(_SECONDS)
    return child.returncode is not None


def _find_last_line(log: IO[bytes]) -> str:
    log.seek(0)
    lines = log.read().decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "it ended without a message"
