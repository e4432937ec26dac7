"""Control groups (cgroups(7)): the kernel counts what all processes of a worker use, in files that no program can reach.

A worker enters new groups before its isolation, and everything that it forks is in them. The time of processes that no other
one waits for counts, too, and a page that several processes share counts once. A group has no limit, because at a limit the
kernel could kill the worker.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import time
from collections.abc import Collection

Folder = tuple[str, str]
"""A kind of group (a key of `_FILES`), and this process's group of that kind."""

_PREFIX = "sandbox-"
_FILES: dict[str, dict[str, tuple[str, ...]]] = {
    "v2": {"cpu": ("cpu.stat",), "memory": ("memory.current", "memory.stat")},
    "cpuacct": {"cpu": ("cpuacct.usage",)},
    "memory": {"memory": ("memory.usage_in_bytes", "memory.stat")},
}
"""Version 2, or a controller of version 1 -> what a group may count -> the files with it. Best first."""
_GROUP = re.compile(r"^(\d+):(.*?):(/.*)$", re.MULTILINE)
_MOUNT = re.compile(r"^\S+ \S+ \S+ (\S+) (\S+) .*- (cgroup2?) \S+ (\S+)$", re.MULTILINE)
_GONE = (errno.ENOENT, errno.ENODEV)
_TRIES = 10
_WAIT_SECONDS = 0.01


def find() -> list[Folder]:
    """Return the groups of this process below which it may make others."""
    try:
        with open("/proc/self/cgroup") as groups, open("/proc/self/mountinfo") as mounts:
            found = parse(groups.read(), mounts.read())
    except (OSError, UnicodeError):
        return []
    return [(kind, path) for kind, path in found if os.access(path, os.W_OK)]


def parse(groups: str, mounts: str) -> list[Folder]:
    """Return the groups in the texts of /proc/self/cgroup and /proc/self/mountinfo that can be reached."""
    own = {name or "v2": path for _, names, path in _GROUP.findall(groups) for name in names.split(",")}
    found: list[Folder] = []
    for kind in _FILES:
        for root, where, system, options in _MOUNT.findall(mounts):
            names = ["v2"] if system == "cgroup2" else options.split(",")
            # With `..` it is outside of this process's namespace.
            if kind not in names or kind not in own or "/.." in own[kind] + root:
                continue
            below = os.path.relpath(own[kind], root)
            if not below.startswith(".."):
                found.append((kind, os.path.normpath(f"{where}/{below}")))
                break
    return found


class Groups:
    """The groups of this process: makes them, and enters them.

    Args:
        folders: Where to make them, from `find`.
        name: From `make_name`.
    """

    def __init__(self, folders: Collection[Folder], name: str) -> None:
        self.counted: dict[str, str] = {}
        """What is counted, `cpu` or `memory` -> the kind of group that counts it."""
        self._files: dict[str, list[int]] = {}
        for kind, folder in folders:
            path, missing = f"{folder}/{name}", _FILES[kind].keys() - self.counted.keys()
            if not missing or not _enter(path):
                continue
            for what in missing:
                with contextlib.suppress(OSError):  # version 2 counts memory only where the controller is enabled
                    self._files[what] = [os.open(f"{path}/{each}", os.O_RDONLY | os.O_CLOEXEC) for each in _FILES[kind][what]]
                    self.counted[what] = kind

    def read_cpu(self) -> float:
        """Return the CPU seconds of all processes that are or were in the group, without those of this one."""
        data = os.pread(self._files["cpu"][0], 256, 0)
        used = int(data.split(None, 2)[1]) / 1e6 if self.counted["cpu"] == "v2" else int(data) / 1e9
        return used - time.process_time()

    def read_memory(self) -> tuple[int, int]:
        """Return the bytes in use without those of files, and those of files in memory together with shared memory.

        Copies of files on a disk are in neither: the kernel drops them when it needs memory.
        """
        current, statistics = self._files["memory"]
        fields = dict(line.split() for line in os.pread(statistics, 1 << 16, 0).splitlines())
        files = int(fields[b"file" if self.counted["memory"] == "v2" else b"cache"])
        return int(os.pread(current, 64, 0)) - files, int(fields[b"shmem"])


def _enter(path: str) -> bool:
    """Make a group if it is missing, and move this process to it. Return whether the kernel allowed it."""
    for _ in range(_TRIES):
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(path)
            descriptor = os.open(f"{path}/cgroup.procs", os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(descriptor, b"0")
            finally:
                os.close(descriptor)
        except OSError as error:
            if error.errno not in _GONE:
                _remove(path)
                return False
            # Another sandbox that was starting has removed the empty group.
        else:
            return True
    return False


def remove(folders: Collection[Folder], name: str) -> bool:
    """Remove the groups of a worker. Return False if there is one that still has processes."""
    removed = [_remove(f"{folder}/{name}") for _, folder in folders]
    return all(removed)


def remove_all(folders: Collection[Folder], names: Collection[str]) -> None:
    """Remove the groups of workers that have been killed. The kernel may need a moment to take the processes out."""
    waiting = list(names)
    for _ in range(_TRIES):
        waiting = [name for name in waiting if not remove(folders, name)]
        if not waiting:
            return
        time.sleep(_WAIT_SECONDS)


def remove_abandoned(folders: Collection[Folder]) -> None:
    """Remove the groups that killed templates have left. A group with processes, which belongs to another one, stays."""
    for _, folder in folders:
        with contextlib.suppress(OSError):
            for name in os.listdir(folder):
                if name.startswith(_PREFIX):
                    _remove(f"{folder}/{name}")


def make_name() -> str:
    """Return a name for the groups of a worker. Processes of other process namespaces may use the same folders."""
    return f"{_PREFIX}{os.urandom(8).hex()}"


def _remove(path: str) -> bool:
    try:
        os.rmdir(path)
    except OSError as error:
        return error.errno in _GONE
    return True
