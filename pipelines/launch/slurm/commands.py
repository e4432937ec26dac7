"""The commands of Slurm: what the cluster has, submitting, the state of a job, and its end."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import InputError, StepError
from pipelines.launch.job import Job
from pipelines.launch.settings import Settings
from pipelines.recipe.launching import SlurmSettings
from rewards.suggestions import suggestion

_SECONDS = 60.0
"""The longest answer of a controller that is alive."""

_PROBE_SECONDS = 10
"""How long free nodes are waited for, to look whether they have the run directory."""

_MISSING = re.compile(r"^(\S+) has no (/.*)$", re.MULTILINE)

_PROBE = 'for path; do [ -e "$path" ] || echo "${SLURMD_NODENAME:-$(hostname)} has no $path"; done'


@dataclass(frozen=True)
class State:
    """A job in Slurm's queue."""

    word: str
    """`pending`, `running`, `completing`, `failed` …"""
    reason: str
    """Why it waits, or the nodes on which it runs."""

    @property
    def is_active(self) -> bool:
        """Whether it waits or runs."""
        return self.word in ("pending", "configuring", "running", "completing", "requeued", "suspended", "requeue_hold")


class SlurmError(Exception):
    """A command of Slurm failed; the message is its own, in one line."""


def check(job: Job, settings: Settings) -> None:
    """Check whether the cluster has the partition, and enough nodes.

    Raises:
        InputError: It has not, or does not answer.
    """
    given = settings.launch.slurm or SlurmSettings()
    partitions = _partitions()
    if given.partition is not None and given.partition not in partitions:
        where = settings.where("slurm", "partition")
        raise InputError(f"{where}: Slurm has no partition {given.partition!r}{suggestion(given.partition, partitions)}")
    if given.partition is not None and job.nodes > (found := partitions[given.partition]):
        where = settings.where("slurm", "partition")
        raise InputError(f"{where}: hardware.nodes is {job.nodes}; partition {given.partition} has {found}")


def check_script(script: Path) -> None:
    """Check whether Slurm would accept a script.

    Raises:
        InputError: It would not.
    """
    try:
        _call("sbatch", "--test-only", str(script))
    except SlurmError as error:
        raise InputError(f"Slurm would refuse the job: {error}; its script is printed with --dry-run") from None


def probe(job: Job, settings: Settings, paths: Sequence[Path]) -> str | None:
    """Look on free nodes whether they have some files.

    Returns:
        Why that is not known, in a few words; None if they have them.

    Raises:
        InputError: A node lacks one.
    """
    given = settings.launch.slurm or SlurmSettings()
    options = [f"--{name}={value}" for name in ("partition", "account") if (value := getattr(given, name)) is not None]
    words = [
        f"--immediate={_PROBE_SECONDS}",
        f"--nodes={job.nodes}",
        f"--ntasks={job.nodes}",
        "--ntasks-per-node=1",
        "--time=1",
    ]
    try:
        out = _call("srun", "--quiet", "--job-name=probe", *words, *options, "bash", "-c", _PROBE, "probe", *map(str, paths))
    except SlurmError as error:
        return str(error)
    if missing := _MISSING.search(out):
        node, path = missing.groups()
        raise InputError(f"node {node} has no {path}, which this machine has; use a file system that all nodes share (--runs)")
    return None


def submit(script: Path) -> str:
    """Submit a script and return the job's id.

    Raises:
        StepError: Slurm refused it.
    """
    try:
        return _call("sbatch", "--parsable", str(script)).strip().partition(";")[0]
    except SlurmError as error:
        raise StepError(f"Slurm refused the job: {error}; its script is {script}") from None


def find_state(job: str) -> State | None:
    """Return the state of a job; None if it is not in the queue any more, or the queue cannot be asked."""
    try:
        lines = _call("squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T|%r|%N").strip().splitlines()
    except SlurmError:
        return None
    if not lines:
        return None
    word, reason, nodes = lines[0].split("|", 2)
    return State(word.lower(), nodes if word == "RUNNING" else reason)


def cancel(job: str, state: State) -> None:
    """End a job: a running one in order, by a signal to its script.

    Raises:
        StepError: Slurm refused it.
    """
    signal = ["--batch", "--signal=TERM"] if state.word == "running" else []
    try:
        _call("scancel", *signal, job)
    except SlurmError as error:
        raise StepError(f"scancel {job}: {error}") from None


def _partitions() -> dict[str, int]:
    """Return the number of nodes of each partition."""
    try:
        lines = _call("sinfo", "--noheader", "--format=%R %D").splitlines()
    except SlurmError as error:
        raise InputError(f"Slurm does not answer: {error}") from None
    sizes: dict[str, int] = {}
    for line in lines:
        name, _, count = line.rpartition(" ")
        sizes[name.strip()] = sizes.get(name.strip(), 0) + int(count)
    return sizes


def _call(*argv: str) -> str:
    """Run a command and return its output.

    Raises:
        SlurmError: It failed, is missing or does not answer.
    """
    # A submission from inside a job must not inherit that job's options.
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SBATCH_")) or name == "SLURM_CONF"
    }
    try:
        done = subprocess.run(
            argv, capture_output=True, encoding="utf-8", errors="replace", env=kept, timeout=_SECONDS, check=False
        )
    except FileNotFoundError:
        raise SlurmError(f"{argv[0]} not found; submit on a machine that has Slurm's commands") from None
    except subprocess.TimeoutExpired:
        raise SlurmError(f"{argv[0]} gave no answer after {_SECONDS:.0f} s") from None
    if done.returncode:
        raise SlurmError(_last_message(done.stderr) or f"{argv[0]} ended with status {done.returncode}")
    return done.stdout


def _last_message(text: str) -> str:
    """Return the messages of a command in one line, without its name in front."""
    lines = [re.sub(r"^\w+: (error: )?", "", line).strip() for line in text.splitlines() if line.strip()]
    return "; ".join(dict.fromkeys(lines))[:400]
