"""A real Slurm cluster on this machine: munged, slurmctld and two slurmd, from a temporary configuration, on loopback."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol")
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"

CONFIGURATION = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MpiDefault=none
SlurmdParameters=config_overrides
SlurmdTimeout=300
{nodes}
PartitionName=main Nodes=n1,n2 Default=YES State=UP
PartitionName=small Nodes=n1 State=UP
"""


class Cluster:
    """A running cluster of the nodes n1 and n2, with the partitions main and small (n1 only).

    Args:
        folder: Its files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def variables(self) -> dict[str, str]:
        """The variable with which Slurm's commands find it."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf")}

    def call(self, *argv: str) -> str:
        """Run a command of Slurm and return its output."""
        done = subprocess.run(argv, capture_output=True, text=True, env={**os.environ, **self.variables}, check=False)
        assert done.returncode == 0, f"{argv}: {done.stderr}\n{self.read_logs()}"
        return done.stdout

    def jobs(self) -> list[tuple[str, str]]:
        """Return each job in the queue with its state."""
        lines = self.call("squeue", "--noheader", "--array", "--format=%i %T").splitlines()
        return [(words[0], words[1]) for words in map(str.split, lines)]

    def wait_for(self, condition: Callable[[], bool], what: str, seconds: float = 600) -> None:
        """Wait for something; fail with the cluster's logs if it does not happen."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{what} has not happened\n{self.read_logs()}"
            time.sleep(0.2)

    def wait_until_ended(self) -> None:
        """Wait until no job waits or runs."""
        self.wait_for(lambda: not self.jobs(), "the end of all jobs")

    def release(self, job: str) -> None:
        """Let a requeued job start at once; Slurm holds it for two minutes."""
        self.call("scontrol", "update", f"JobId={job}", "StartTime=now")

    def read_logs(self) -> str:
        """Return the ends of the daemons' logs."""
        return "\n".join(
            f"{file.name}:\n" + "\n".join(file.read_text(errors="replace").splitlines()[-15:])
            for file in self.folder.glob("*.log")
        )


def why_not() -> str | None:
    """Return why no cluster can be started here."""
    if os.geteuid() != 0:
        return "slurmd needs root"
    missing = [name for name in PROGRAMS if shutil.which(name, path=_PATH) is None]
    return f"{', '.join(missing)} not found: apt-get install slurmctld slurmd slurm-client munge" if missing else None


@contextmanager
def start_cluster(hidden: Mapping[str, Path] | None = None) -> Iterator[Cluster]:
    """Start a cluster; end all of its processes and jobs, and remove its files, at the end.

    Args:
        hidden: Node -> a folder that it does not see: an empty one is mounted there, for that node only.
    """
    if reason := why_not():
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
    cluster = Cluster(folder)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o755)
        (folder / "state").mkdir()
        key = folder / "munge.key"
        key.touch(0o600)
        key.write_bytes(secrets.token_bytes(128))
        controller, *ports = _free_ports(3)
        nodes = [
            f"NodeName={name} NodeHostname={socket.gethostname()} NodeAddr=127.0.0.1 Port={port} CPUs=2 State=UNKNOWN"
            for name, port in zip(("n1", "n2"), ports, strict=True)
        ]
        text = CONFIGURATION.format(host=socket.gethostname(), controller=controller, folder=folder, nodes="\n".join(nodes))
        (folder / "slurm.conf").write_text(text)
        files = {"socket": "munge.socket", "pid-file": "munge.pid", "log-file": "munged.log", "seed-file": "munge.seed"}
        options = [f"--{name}={folder / file}" for name, file in files.items()]
        _start(stack, ["munged", "--foreground", f"--key-file={key}", *options], folder)
        cluster.wait_for((folder / "munge.socket").exists, "munged")
        _start(stack, ["slurmctld", "-D", "-c"], folder)
        for name in ("n1", "n2"):
            command = ["slurmd", "-D", "-N", name]
            if (place := (hidden or {}).get(name)) is not None:
                script = 'mount -t tmpfs none "$0" && exec "$@"'
                command = ["unshare", "--mount", "--propagation=private", "bash", "-c", script, str(place), *command]
            _start(stack, command, folder)
        stack.callback(_end_jobs, cluster)
        cluster.wait_for(lambda: _count_idle(folder) == 2, "two idle nodes", seconds=120)
        yield cluster


def _start(stack: ExitStack, command: list[str], folder: Path) -> None:
    environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf"), "PATH": _PATH}
    with (folder / f"{command[0]}.out.log").open("ab") as sink:
        # A session of its own: Ctrl-C must not reach it before its jobs have ended.
        process = subprocess.Popen(command, env=environment, stdout=sink, stderr=sink, start_new_session=True, cwd=folder)

    def end() -> None:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    stack.callback(end)


def _end_jobs(cluster: Cluster) -> None:
    with suppress(AssertionError):
        for job, _ in cluster.jobs():
            cluster.call("scancel", "--full", job)
        cluster.wait_until_ended()


def _count_idle(folder: Path) -> int:
    environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}
    done = subprocess.run(
        ["sinfo", "--noheader", "--partition=main", "--states=idle", "--format=%D"],
        capture_output=True, text=True, env=environment, check=False,
    )  # fmt: skip
    return sum(map(int, done.stdout.split()))


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
