"""Hosts with addresses of their own, as network namespaces on this machine, and a Ray cluster on them.

Each host is a network and a UTS namespace: it has a loopback, an interface `eth0` on a switch that only the hosts share, and a
host name. Files and memory are shared, as on a cluster with one file system. The namespaces have no name in /run: the kernel
removes them, and their interfaces, with their last process.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

RAY_PORT = 6379
"""The port of a cluster's head; each cluster has its own addresses."""

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass
class Host:
    """A host: a process that keeps its namespaces, and an address that the other hosts reach."""

    name: str
    address: str
    keeper: subprocess.Popen[bytes]
    names: Path | None = None
    """A file of the hosts' names, which replaces /etc/hosts."""

    def command(self, *argv: str) -> list[str]:
        """Return a command as it is run on this host."""
        enter = ["nsenter", f"--net={self._namespace}", f"--uts=/proc/{self.keeper.pid}/ns/uts", "--"]
        if self.names is None:
            return [*enter, *argv]
        replace = 'mount --bind "$0" /etc/hosts && exec "$@"'
        return [*enter, "unshare", "--mount", "--propagation=private", "sh", "-c", replace, str(self.names), *argv]

    def start(self, *argv: str, **options: Any) -> subprocess.Popen[Any]:
        """Start a command on this host; it is killed with the thread that started it."""
        return subprocess.Popen(self.command(*argv), preexec_fn=_die_with_parent, **options)  # noqa: PLW1509

    def run(self, *argv: str, **options: Any) -> subprocess.CompletedProcess[Any]:
        """Run a command on this host to its end, which must be a success."""
        return subprocess.run(self.command(*argv), check=True, **options)

    def processes(self) -> list[int]:
        """Return the processes of this host, without its keeper."""
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if (place / "ns" / "net").readlink() == self._namespace.readlink() and int(place.name) != self.keeper.pid:
                    found.append(int(place.name))
        return found

    def disconnect(self) -> None:
        """Take the host's interface down; its processes continue, but cannot be reached."""
        self.run("ip", "link", "set", "eth0", "down")

    def connect(self) -> None:
        """Bring the host's interface up again; a route is lost with the interface."""
        self.run("ip", "link", "set", "eth0", "up")
        self.run("ip", "route", "replace", "default", "dev", "eth0")

    def kill(self) -> None:
        """Kill -9 every process of this host, as a power failure does."""
        while found := [pid for pid in self.processes() if not _is_zombie(pid)]:
            for pid in found:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)

    @property
    def _namespace(self) -> Path:
        return Path(f"/proc/{self.keeper.pid}/ns/net")


@contextmanager
def make_hosts(count: int = 2, prefix: str = "node") -> Iterator[list[Host]]:
    """Provide hosts on one switch; afterwards none of their processes is left. Skip the test where that is not possible."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    if missing := [name for name in ("ip", "nsenter", "unshare") if shutil.which(name) is None]:
        pytest.skip(f"{' and '.join(missing)} not found; Debian's packages are iproute2 and util-linux")
    hosts: list[Host] = []
    descriptor, file = tempfile.mkstemp(prefix="hosts")
    os.close(descriptor)
    switch = Host("switch", "", _keep_namespaces("switch"))
    try:
        if switch.start("ip", "link", "add", "bridge", "type", "bridge", stderr=subprocess.PIPE).wait():
            pytest.skip("this kernel makes no bridges")
        switch.run("ip", "link", "set", "bridge", "up")
        for number in range(count):
            name, address = f"{prefix}-{number}", f"10.77.0.{number + 1}"
            host = Host(name, address, _keep_namespaces(name), Path(file))
            hosts.append(host)
            port = f"port{number}"
            switch.run("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", str(host.keeper.pid))
            switch.run("ip", "link", "set", port, "master", "bridge", "up")
            host.run("ip", "address", "add", f"{host.address}/24", "dev", "eth0")
            host.run("ip", "link", "set", "lo", "up")
            host.connect()  # with a default route: programs find their own address by it
            for server in _name_servers():  # a look-up fails at once instead of waiting for an answer
                host.run("ip", "route", "add", "unreachable", server)
        # A host knows its own name and those of the others, as torchrun expects.
        lines = [f"{host.address} {host.name}\n" for host in hosts]
        Path(file).write_text("127.0.0.1 localhost\n" + "".join(lines))
        yield hosts
    finally:
        for host in [*hosts, switch]:
            host.kill()
            host.keeper.kill()
            host.keeper.communicate()
        Path(file).unlink()


@dataclass
class Cluster:
    """A Ray cluster: its head is the first host."""

    hosts: list[Host]
    python: Path
    folder: Path
    variables: Mapping[str, str]
    """What a client needs to reach the cluster."""
    resources: Mapping[str, int] = field(default_factory=dict)

    @property
    def address(self) -> str:
        """The value of RAY_ADDRESS."""
        return f"{self.hosts[0].address}:{RAY_PORT}"

    def start_node(self, host: Host) -> subprocess.Popen[Any]:
        """Start Ray on a host, again after its processes were killed; return once its node has joined the cluster."""
        head = host is self.hosts[0]
        place = ["--head", f"--port={RAY_PORT}", "--include-dashboard=false"] if head else [f"--address={self.address}"]
        options = [f"--node-ip-address={host.address}", f"--temp-dir={self.folder / host.name}", "--disable-usage-stats"]
        options += [f"--num-{name}={amount}" for name, amount in self.resources.items()]
        log = self.folder / f"{host.name}.log"
        before = self._count_nodes() if not head else 0
        with log.open("ab") as sink:
            argv = [str(self.python), "-m", "ray.scripts.scripts", "start", *place, *options, "--object-store-memory=200000000"]
            started = host.start(*argv, "--block", stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, env=self._environment())
        deadline = time.monotonic() + 300
        while self._count_nodes() <= before:
            assert started.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        return started

    def _environment(self) -> dict[str, str]:
        # A raylet starts a Python per declared CPU with its first driver; two cores would be busy with that for a minute.
        others = {"RAY_prestart_worker_first_driver": "0", "PATH": f"{self.python.parent}{os.pathsep}{os.environ['PATH']}"}
        without = {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "PIPELINE_"))}
        return {**without, **others, **self.variables}

    def _count_nodes(self) -> int:
        """Return the number of nodes that are alive, by the head's own table."""
        code = (
            "import sys; from ray._raylet import GcsClient; "
            "print(sum(each.state == 0 for each in GcsClient(address=sys.argv[1]).get_all_node_info(timeout=5).values()))"
        )
        argv = self.hosts[0].command(str(self.python), "-c", code, self.address)
        done = subprocess.run(argv, capture_output=True, text=True, env=self._environment())
        return int(done.stdout) if done.returncode == 0 else 0


@contextmanager
def make_ray_cluster(
    python: Path, count: int = 2, *, gpus: int = 1, cpus: int = 12, variables: Mapping[str, str] | None = None
) -> Iterator[Cluster]:
    """Provide a Ray cluster with a node on each of some hosts; afterwards nothing of it is left.

    Args:
        python: a Python with Ray.
        gpus: GPUs that each node declares; none need exist.
        variables: those of every node and client; default: no authentication.
    """
    with make_hosts(count) as hosts, tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as name:
        # Ray appends about 60 characters to a temporary folder for its sockets, of at most 107.
        folder = Path(name)
        given = {"RAY_AUTH_MODE": "disabled"} if variables is None else variables
        cluster = Cluster(hosts, python, folder, dict(given), {"gpus": gpus, "cpus": cpus})
        for host in hosts:
            cluster.start_node(host)
        yield cluster
        for host in hosts:
            host.kill()  # before its files are removed


def _keep_namespaces(name: str) -> subprocess.Popen[bytes]:
    """Start a process in new network and UTS namespaces, with a host name; return once they exist."""
    script = f"hostname {name} 2>/dev/null || echo {name} > /proc/sys/kernel/hostname; echo ready; exec sleep infinity"
    argv: Sequence[str] = ["unshare", "--net", "--uts", "sh", "-c", script]
    keeper = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=_die_with_parent)  # noqa: PLW1509
    assert keeper.stdout is not None
    if keeper.stdout.readline() != b"ready\n":
        _, errors = keeper.communicate()
        pytest.skip(f"network namespaces cannot be made: {errors.decode().strip()}")
    return keeper


def _name_servers() -> set[str]:
    """Return the addresses (IPv4) of this machine's name servers, except its own."""
    words = [line.split() for line in Path("/etc/resolv.conf").read_text().splitlines()]
    found = {each[1] for each in words if each[:1] == ["nameserver"] and len(each) > 1}
    return {each for each in found if ":" not in each and not each.startswith("127.")}


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True
