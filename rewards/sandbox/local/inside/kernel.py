"""Kernel facilities that Python's standard library lacks, by ctypes: one function per call.

Namespaces and mounts (unshare(2), mount(2), pivot_root(2)), privileges (prctl(2), capset(2)), installing a compiled seccomp
filter, and Landlock (landlock(7); no maintained binding was found that installs without a compiler).
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Callable
from functools import partial

NEW_MOUNTS, NEW_UTS, NEW_IPC = 0x20000, 0x4000000, 0x8000000
NEW_USER, NEW_PIDS, NEW_NETWORK, NEW_CGROUPS = 0x10000000, 0x20000000, 0x40000000, 0x2000000
READ_ONLY, NO_SETUID, NO_DEVICES, NO_EXECUTE, REMOUNT, BIND, RECURSIVE, PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18

_SET_PARENT_DEATH_SIGNAL, _SET_DUMPABLE, _SET_KEEP_CAPABILITIES, _SET_SECCOMP = 1, 4, 8, 22
_SET_SUBREAPER, _SET_NO_NEW_PRIVILEGES = 36, 38
_READ_ALL = 2
"""CAP_DAC_READ_SEARCH of capabilities(7)."""
_DETACH, _SECCOMP_FILTER = 2, 2
_THIS_PROCESS = struct.pack("Ii", 0x20080522, 0)
"""_LINUX_CAPABILITY_VERSION_3, and the calling process."""
_CURRENT_FOLDER = -100
_AT_RECURSIVE = 0x8000
# The same numbers on every architecture, as for all system calls since Linux 5.1.
_MOUNT_SETATTR, _LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 442, 444, 445, 446

# PyDLL keeps the interpreter's lock: a worker has one thread, and each of these calls returns at once.
_libc = ctypes.PyDLL(None, use_errno=True)
# Without `errno`, which `ctypes` would look up in a dictionary of the thread.
_quick = ctypes.PyDLL(None)
wait4 = _quick.wait4
_ended = (ctypes.c_long * 19)()
_to_status, _to_usage = (ctypes.c_void_p(ctypes.addressof(_ended) + offset) for offset in (0, 8))


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _syscall(number: int, *arguments: int | bytes | None) -> int:
    return int(_libc.syscall(*(ctypes.c_long(each) if isinstance(each, int) else each for each in (number, *arguments))))


def _prctl(option: int, value: int) -> None:
    _check(_libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0), "prctl")


read_ended = struct.Struct("i4x5l").unpack_from
"""Reads the wait status, and the begin of `struct rusage` (getrusage(2)): seconds and microseconds in user and in kernel mode,
then KiB of memory."""

# A plain -1 would first raise an OverflowError inside of `ctypes`.
reap: Callable[[], int] = partial(_quick.waitpid, ctypes.c_int(-1), None, os.WNOHANG)
"""Waits for one child if one has ended; returns a negative number if there was no child, ended or not."""
fork: Callable[[], int] = _quick.fork
"""Forks this process like `os.fork`, without what Python does after a fork; -1 if it fails. Only for a process with one thread.

`os.fork` replaces the locks of the interpreter and of `threading`, in case other threads held them, and seeds `random`. That
writes to two thirds of the pages that a short program writes to, and each of them is copied.
"""


def wait(pid: int) -> tuple[int, float, int]:
    """Wait for a child that has ended; return its wait status, its CPU seconds and the most KiB of memory that it had.

    `os.wait4` does the same, and imports a module and creates an object of 16 numbers, in pages that the next fork shares.
    """
    if wait4(pid, _to_status, 0, _to_usage) < 0:
        _, status, usage = os.wait4(pid, 0)
        return status, usage.ru_utime + usage.ru_stime, usage.ru_maxrss
    status, user, user_micro, system, system_micro, memory = read_ended(_ended)
    return status, user + system + (user_micro + system_micro) / 1e6, memory


def unshare(flags: int) -> None:
    """Move this process (for NEW_PIDS: its children) into new namespaces."""
    _check(_libc.unshare(ctypes.c_int(flags)), "unshare")


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Mount `source` on `target`."""
    result = _libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode())
    _check(result, f"mount {kind or source} on {target}")


def make_read_only(target: str, *, recursive: bool = True, devices: bool = False) -> None:
    """Make a mount and those below it read-only, without set-user-id programs and, unless `devices`, without devices."""
    flags = READ_ONLY | NO_SETUID | (0 if devices else NO_DEVICES)
    attributes = struct.pack("QQQQ", flags, 0, 0, 0)
    done = _syscall(_MOUNT_SETATTR, _CURRENT_FOLDER, target.encode(), _AT_RECURSIVE * recursive, attributes, len(attributes))
    if done < 0 and ctypes.get_errno() == errno.ENOSYS:
        # Before Linux 5.12. The flags that the mount already has must be repeated.
        kept = os.statvfs(target).f_flag & (NO_SETUID | NO_DEVICES | NO_EXECUTE)
        mount("", target, flags=REMOUNT | BIND | flags | kept)
    else:
        _check(done, f"make {target} read-only")


def unmount(target: str) -> None:
    """Detach a mount; it ends when nothing uses it."""
    _check(_libc.umount2(target.encode(), _DETACH), f"unmount {target}")


def swap_root(root: str, old: str) -> None:
    """Make the mount `root` the root of the file system, and move the old root to the folder `old` in it."""
    _check(_libc.pivot_root(root.encode(), old.encode()), "pivot_root")


def die_with_parent(signal: int) -> None:
    """Send this process the signal when its parent ends."""
    _prctl(_SET_PARENT_DEATH_SIGNAL, signal)


def adopt_orphans() -> None:
    """Make descendants whose parents end children of this process."""
    _prctl(_SET_SUBREAPER, 1)


def hide_memory() -> None:
    """Prevent other processes of this user from tracing this process or reading its memory."""
    _prctl(_SET_DUMPABLE, 0)


def refuse_privileges() -> None:
    """Prevent this process and what it executes from gaining privileges."""
    _prctl(_SET_NO_NEW_PRIVILEGES, 1)


def become_user(user: int, *, read_all: bool) -> None:
    """Become another user without capabilities, except the one to read all files if `read_all`.

    Call it as root, in a process with one thread.
    """
    _prctl(_SET_KEEP_CAPABILITIES, int(read_all))
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    kept = 1 << _READ_ALL if read_all else 0
    _check(_libc.capset(_THIS_PROCESS, struct.pack("6I", kept, kept, 0, 0, 0, 0)), "capset")


def drop_capabilities() -> None:
    """Drop all capabilities of this process."""
    _check(_libc.capset(_THIS_PROCESS, bytes(24)), "capset")


class _FilterProgram(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def restrict_calls(program: bytes) -> None:
    """Install a seccomp filter, given as compiled BPF. Call `refuse_privileges` first."""
    whole = _FilterProgram(len(program) // 8, program)
    _check(_libc.prctl(_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_FILTER), ctypes.byref(whole), 0, 0), "seccomp")


def protect(begin: int, end: int, rights: int) -> bool:
    """Set the rights of mapped memory (mprotect(2)). Return whether the kernel allowed it."""
    return bool(_libc.mprotect(ctypes.c_void_p(begin), ctypes.c_size_t(end - begin), rights) == 0)


def landlock_version() -> int:
    """Return the kernel's Landlock ABI; 0 without Landlock."""
    return max(0, _syscall(_LANDLOCK_CREATE, None, 0, 1))


_READ = 0b1101
"""The rights to execute and read files, and to list folders."""
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
"""Landlock ABI -> number of its rights over files; 16 since ABI 5."""
_ON_FILES_ONLY = 0b1100000000000111
SIGNALS_SINCE = 6
"""The first Landlock ABI that confines signals."""


def make_ruleset(readable: list[str], writable: list[str]) -> int:
    """Return a descriptor of a Landlock ruleset that refuses all other paths.

    If the kernel's ABI supports it, the ruleset also refuses TCP and signals to other processes.
    """
    version = landlock_version()
    rights = (1 << _FILE_RIGHTS.get(version, 16)) - 1
    fields = (rights, 0b11 if version >= 4 else 0, 0b11 if version >= SIGNALS_SINCE else 0)
    packed = struct.pack("QQQ", *fields)[: 8 if version < 4 else 16 if version < SIGNALS_SINCE else 24]
    ruleset = _check(_syscall(_LANDLOCK_CREATE, packed, len(packed), 0), "landlock_create_ruleset")
    for paths, allowed in ((readable, _READ), (writable, rights)):
        for path in paths:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
            rule = struct.pack("=Qi", allowed if os.path.isdir(path) else allowed & _ON_FILES_ONLY, descriptor)
            _check(_syscall(_LANDLOCK_ADD, ruleset, 1, rule, 0), f"landlock_add_rule {path}")
            os.close(descriptor)
    return ruleset


def restrict_files(ruleset: int) -> None:
    """Apply a Landlock ruleset to this process and its children. Call `refuse_privileges` first."""
    _check(_syscall(_LANDLOCK_RESTRICT, ruleset, 0), "landlock_restrict_self")
