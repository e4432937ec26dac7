"""`pipeline run` in a folder of its own, for tests that kill it and look at what it leaves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipelines.run import process
from pipelines.run.plan import stage_paths
from pipelines.run.scratch import scratch_folder
from pipelines.trainers.base import StagePaths
from tests.clusters import Host


class Chain:
    """Runs of one recipe in one run directory.

    Args:
        recipe: a shipped recipe or a path.
        name: the recipe's name.
        folder: where run directories are.
        host: the host that it runs on; None: this machine.
        variables: variables of its processes on top of those of the tests.
    """

    def __init__(
        self, recipe: str, name: str, folder: Path, host: Host | None = None, variables: Mapping[str, str] | None = None
    ) -> None:
        self.recipe = recipe
        self.host = host
        self.variables = variables or {}
        self.runs = folder
        self.directory = folder / name

    def start(self, *options: str, command: str = "run") -> subprocess.Popen[str]:
        """Start `pipeline run` on the CPU, whatever this machine has."""
        pipeline = Path(sys.executable).with_name("pipeline")
        argv = [str(pipeline), command, self.recipe, "--runs", str(self.runs), "--set", "hardware.platform=cpu", *options]
        argv = argv if self.host is None else self.host.command(*argv)
        variables = {**os.environ, **self.variables}
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=variables)

    def finish(self, *options: str, command: str = "run") -> tuple[int, str, str]:
        """Run to the end; return exit status, output and errors."""
        started = self.start(*options, command=command)
        out, err = started.communicate()
        print(out, err)
        return started.returncode, out, err

    def complete(self, *options: str) -> str:
        """Run to the end, which must be a success; return the output."""
        status, out, err = self.finish(*options)
        assert status == 0, out + err
        return out

    def paths(self, stage: str) -> StagePaths:
        """Return the paths of a stage."""
        return stage_paths(self.directory, stage)


@contextmanager
def make_chain(
    recipe: str, name: str, folder: Path, host: Host | None = None, variables: Mapping[str, str] | None = None
) -> Iterator[Chain]:
    """Provide a chain; afterwards nothing of it may be left on the machine."""
    chain = Chain(recipe, name, folder, host, variables)
    try:
        yield chain
    finally:
        process.end_orphans(chain.directory)
    shutil.rmtree(folder)
    assert not [*Path("/dev/shm").glob(f"*{scratch_folder(chain.directory).name}*")], "shared memory was not removed"


def wait_for(condition: Callable[[], bool], started: subprocess.Popen[str], seconds: float = 900) -> None:
    """Wait for something that a run will do; fail with its output if it ends before."""
    deadline = time.monotonic() + seconds
    while not condition():
        if started.poll() is not None:
            pytest.fail(f"ended early: {started.communicate()}")
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.1)


def wait_until_ended(directory: Path, seconds: float = 120) -> None:
    """Wait until a run has neither processes nor temporary files."""
    deadline = time.monotonic() + seconds
    while left := process.find_processes(directory):
        assert time.monotonic() < deadline, f"still running: {left.values()}"
        time.sleep(0.2)
    while scratch_folder(directory).exists():
        assert time.monotonic() < deadline, "the scratch folder is still there"
        time.sleep(0.2)
