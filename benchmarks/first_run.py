"""Time of the README's first command on a fresh machine: `pip install -e . && pipeline run smoke.yaml`.

It runs in a new clone of this repository (its last commit) with a new virtual environment, so the trainers' environments are
built on the way; those of this repository are not touched. The package caches of pip and uv must be warm: run it twice.
`--compare` also runs another clone's `pipeline env sync llamafactory`, `pipeline env sync verl` and `pipeline run smoke.yaml`,
one after the other.

The clones take 5 GB each in the folder for temporary files (`--folder`); on the disk of uv's cache, files are linked instead of
copied. `--quick` only plans the run in a new clone.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from benchmarks.harness import ROOT, Result, run, time_call
from pipelines.records.runs import open_run

PLAN = "python -c 'from pipelines.cli.main import main; main()' plan smoke.yaml"
INSTALL, RUN = "pip install -q -e .", "pipeline run smoke.yaml"
BEFORE = "pipeline env sync llamafactory && pipeline env sync verl"
SECONDS = 270


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folder", type=Path, metavar="DIR", help="parent of the clones; default: that of temporary files")
    parser.add_argument("--compare", action="store_true", help="also build the environments before the run")


def measure(given: argparse.Namespace) -> Iterator[Result]:
    """Yield the times of the first command and its parts."""
    with tempfile.TemporaryDirectory(prefix="first-run-", dir=given.folder) as folder:
        clone = Clone(Path(folder, "clone"))
        if given.quick:
            yield Result("pipeline plan smoke.yaml", "s", time_call(lambda: clone.run(PLAN)))
            yield Result("first command", "s", at_most=SECONDS, left_out="--quick")
            return
        clone.make_environment()
        install = time_call(lambda: clone.run(INSTALL))
        began, used = time.time(), processor_seconds()
        seconds = time_call(lambda: clone.run(RUN))
        used = processor_seconds() - used
        yield Result(INSTALL, "s", install)
        yield Result(RUN, "s", seconds)
        yield Result(f"{RUN}, on all cores together", "s", used)
        for step in ("model", "sft/train", "sft/handover", "stage-one/train"):
            yield Result(f"{RUN}, until {step} starts", "s", clone.started(step) - began)
        before = None
        if given.compare:
            other = Clone(Path(folder, "other"))
            other.make_environment()
            before = time_call(lambda: other.run(f"{INSTALL} && {BEFORE} && {RUN}"))
        yield Result("first command", "s", install + seconds, at_most=SECONDS)
        if before is not None:
            yield Result("first command", "s", install + seconds, before, "environments built before")


class Clone:
    """A new clone of this repository.

    Args:
        folder: Where it is made.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs = Path(sys.executable).parent
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(folder)], check=True)
        assert not list(folder.glob("third_party/*/environments")), "a new clone has no environments"

    def make_environment(self) -> None:
        """Make the virtual environment, which the first command expects."""
        subprocess.run([sys.executable, "-m", "venv", str(self.folder / ".venv")], check=True)
        self.programs = self.folder / ".venv" / "bin"

    def run(self, command: str) -> None:
        """Run a shell command in the clone, which must succeed."""
        # Variables that name another Python or environment would be used instead of the clone's.
        variables = {k: v for k, v in os.environ.items() if not k.startswith(("PIPELINE_", "PYTHON", "VIRTUAL_ENV"))}
        variables["PATH"] = os.pathsep.join([str(self.programs), variables.get("PATH", os.defpath)])
        output = self.folder.with_suffix(".log")
        with output.open("a") as sink:
            done = subprocess.run(["sh", "-c", command], cwd=self.folder, env=variables, stdout=sink, stderr=sink)
        if done.returncode:
            sys.exit(f"{command}: ended with {done.returncode}\n{output.read_text()[-3000:]}")

    def started(self, name: str) -> float:
        """Return when a step of the run was started, in seconds since the epoch."""
        step = next(each for each in open_run(self.folder / "runs" / "smoke").steps if each.name == name)
        assert step.record is not None
        return datetime.fromisoformat(step.record.started).timestamp()


def processor_seconds() -> float:
    """Return the processor time of all processes that were started here and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    run(__doc__, measure, add_arguments)
