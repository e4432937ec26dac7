"""The file system that a program sees: a read-only Python, a few devices, and an empty temporary folder."""

from __future__ import annotations

import os

from rewards.sandbox.local.inside import kernel

_BASE = "/tmp"
"""A folder that every machine has. Something is mounted on it for a moment, invisible to other processes."""
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


def enter(readable: list[str], work: str, file_mb: int) -> int:
    """Replace the host's files by a view of `readable` and an empty folder `work`, which contains none of these.

    This process must be in a new mount namespace.

    Returns:
        A descriptor of a /proc that is not mounted in the view; -1 if the kernel refuses one.
    """
    kernel.mount("none", "/", flags=kernel.RECURSIVE | kernel.PRIVATE)
    # Two moves, as in bubblewrap: into a new root that contains the old one, then into the view built there.
    kernel.mount("tmpfs", _BASE, "tmpfs", kernel.NO_SETUID | kernel.NO_DEVICES, "mode=755,size=1m")
    for name in ("old", "new"):
        os.mkdir(f"{_BASE}/{name}")
    os.chdir(_BASE)
    kernel.swap_root(_BASE, f"{_BASE}/old")
    os.chdir("/")
    kernel.mount("tmpfs", "/new", "tmpfs", kernel.NO_SETUID | kernel.NO_DEVICES, "mode=755,size=1m")
    for path in (*_DEVICES, *readable):
        _show(path)
    os.makedirs("/new/dev", exist_ok=True)
    # Where the C library looks for shared memory and named semaphores.
    os.symlink(work, "/new/dev/shm")
    os.mkdir(f"/new{work}")
    os.mkdir("/new/proc")
    proc = _open_proc("/new/proc")
    _show_own_processes("/new/proc")
    os.chdir("/new")
    # pivot_root(".", ".") of pivot_root(2): the old root is mounted over the new one until it is unmounted.
    kernel.swap_root(".", ".")
    kernel.unmount(".")
    os.chdir("/")
    kernel.make_read_only("/", recursive=False)
    options = f"mode=1777,size={file_mb}m,nr_inodes=16k"
    kernel.mount("tmpfs", work, "tmpfs", kernel.NO_SETUID | kernel.NO_DEVICES, options)
    return proc


def _show(path: str) -> None:
    source, target = f"/old{path}", f"/new{path}"
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if os.path.islink(source):
        os.symlink(os.readlink(source), target)
    elif os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
        kernel.mount(source, target, flags=kernel.BIND | kernel.RECURSIVE)
        kernel.make_read_only(target)
    elif os.path.exists(source):
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY))
        kernel.mount(source, target, flags=kernel.BIND)
        # What is written to a device goes to the device; its permissions do not change.
        kernel.make_read_only(target, recursive=False, devices=True)


def _open_proc(where: str) -> int:
    try:
        kernel.mount("proc", where, "proc", kernel.READ_ONLY | kernel.NO_SETUID | kernel.NO_DEVICES | kernel.NO_EXECUTE)
    except OSError:  # a container that hides a part of its own /proc allows no new one
        return -1
    descriptor = os.open(where, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    kernel.unmount(where)
    return descriptor


def _show_own_processes(where: str) -> None:
    """Show a program its own processes, of which /dev/stdin needs /proc/self/fd, and nothing else of the kernel's."""
    flags = kernel.READ_ONLY | kernel.NO_SETUID | kernel.NO_DEVICES | kernel.NO_EXECUTE
    try:
        kernel.mount("proc", where, "proc", flags, "hidepid=invisible,subset=pid")
    except OSError:  # before Linux 5.8, and where no /proc is allowed
        os.rmdir(where)
        return
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        os.symlink(f"/proc/self/fd/{number}", f"/new/dev/{name}")
    os.symlink("/proc/self/fd", "/new/dev/fd")
