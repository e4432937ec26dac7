"""The kernel's facilities that Python's standard library does not offer, by ctypes: one function per call.

Namespaces and mounts (unshare(2), mount(2), pivot_root(2)), privileges (prctl(2), capset(2)), a seccomp filter that
was compiled elsewhere, and Landlock (landlock(7); no kept binding of it was found that installs without a compiler).
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct

NEW_MOUNTS, NEW_UTS, NEW_IPC, NEW_USER, NEW_PIDS, NEW_NETWORK = (
    0x20000,
    0x4000000,
    0x8000000,
    0x10000000,
    0x20000000,
    0x40000000,
)
READ_ONLY, NO_SETUID, NO_DEVICES, NO_EXECUTE, REMOUNT, BIND, RECURSIVE, PRIVATE = 1, 2, 4, 8, 32, 4096, 16384, 1 << 18
DETACH = 2

_SET_PARENT_DEATH_SIGNAL, _SET_DUMPABLE, _SET_SECCOMP, _SET_SUBREAPER, _SET_NO_NEW_PRIVILEGES = 1, 4, 22, 36, 38
_SECCOMP_FILTER = 2
_THIS_PROCESS = struct.pack("Ii", 0x20080522, 0)
"""_LINUX_CAPABILITY_VERSION_3, and the process that calls."""
_NO_CAPABILITIES = bytes(24)
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_AT_RECURSIVE = 0x8000
# The same numbers on every architecture, as all system calls since Linux 5.1.
_MOUNT_SETATTR, _LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 442, 444, 445, 446

# The interpreter's lock is held (PyDLL): a worker has one thread, and each of these calls returns at once.
_libc = ctypes.PyDLL(None, use_errno=True)


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def unshare(flags: int) -> None:
    """Moves this process (for NEW_PIDS: its children) into new namespaces."""
    _check(_libc.unshare(ctypes.c_int(flags)), "unshare")


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Mounts `source` on `target`."""
    result = _libc.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode())
    _check(result, f"mount {kind or source} on {target}")


def make_read_only(target: str, *, recursive: bool = True) -> None:
    """Makes a mount, and those below it, read-only, without set-user-id programs and devices."""
    attributes = struct.pack("QQQQ", READ_ONLY | NO_SETUID | NO_DEVICES, 0, 0, 0)
    done = _libc.syscall(
        ctypes.c_long(_MOUNT_SETATTR),
        ctypes.c_int(-100),
        target.encode(),
        ctypes.c_uint(_AT_RECURSIVE * recursive),
        attributes,
        ctypes.c_size_t(32),
    )
    if done < 0 and ctypes.get_errno() == errno.ENOSYS:
        # Before Linux 5.12. What the mount refuses already has to be said again.
        kept = os.statvfs(target).f_flag & (NO_SETUID | NO_DEVICES | NO_EXECUTE)
        return mount("", target, flags=REMOUNT | BIND | READ_ONLY | NO_SETUID | NO_DEVICES | kept)
    _check(done, f"make {target} read-only")
    return None


def unmount(target: str) -> None:
    """Takes a mount out of sight; it ends when nothing uses it."""
    _check(_libc.umount2(target.encode(), DETACH), f"unmount {target}")


def swap_root(root: str, old: str) -> None:
    """Makes `root`, a mount of its own, the root of the file system; the old one is seen at `old`, a folder in it."""
    number = _PIVOT_ROOT.get(os.uname().machine)
    if number is None:
        raise OSError(errno.ENOSYS, f"pivot_root: its number on {os.uname().machine} is not known here")
    _check(_libc.syscall(ctypes.c_long(number), root.encode(), old.encode()), "pivot_root")


def change_root(root: str) -> None:
    """Makes `root`, a mount of its own, the root of the file system; nothing of the old one stays in sight."""
    os.chdir(root)
    # pivot_root(".", ".") of pivot_root(2): the old root lies over the new one until it is unmounted.
    swap_root(".", ".")
    unmount(".")
    os.chdir("/")


def die_with_parent(signal: int) -> None:
    """This process gets the signal when the one that made it ends."""
    _check(_libc.prctl(_SET_PARENT_DEATH_SIGNAL, ctypes.c_ulong(signal), 0, 0, 0), "prctl")


def adopt_orphans() -> None:
    """Descendants whose parents end become this process's children."""
    _check(_libc.prctl(_SET_SUBREAPER, ctypes.c_ulong(1), 0, 0, 0), "prctl")


def hide_memory() -> None:
    """No process of the same user can trace this one or read its memory."""
    _check(_libc.prctl(_SET_DUMPABLE, ctypes.c_ulong(0), 0, 0, 0), "prctl")


def refuse_privileges() -> None:
    """Neither this process nor what it executes can gain privileges."""
    _check(_libc.prctl(_SET_NO_NEW_PRIVILEGES, ctypes.c_ulong(1), 0, 0, 0), "prctl")


def drop_capabilities() -> None:
    """Gives up every capability, in whatever user namespace it holds."""
    _check(_libc.capset(_THIS_PROCESS, _NO_CAPABILITIES), "capset")


class _FilterProgram(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def restrict_calls(program: bytes) -> None:
    """Installs a seccomp filter, given as compiled BPF; needs `refuse_privileges` first."""
    whole = _FilterProgram(len(program) // 8, program)
    _check(_libc.prctl(_SET_SECCOMP, ctypes.c_ulong(_SECCOMP_FILTER), ctypes.byref(whole), 0, 0), "seccomp")


def landlock_version() -> int:
    """The kernel's Landlock ABI; 0 where it has none."""
    return max(0, int(_libc.syscall(ctypes.c_long(_LANDLOCK_CREATE), None, ctypes.c_size_t(0), ctypes.c_uint(1))))


_READ, _READ_FILE = 0b1101, 0b0100
"""Executing, reading files, listing folders; reading files alone."""
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
"""Landlock ABI -> how many rights over files it has; 16 since ABI 5."""
_ON_FILES_ONLY = 0b1100000000000111
SIGNALS_SINCE = 6
"""The first Landlock ABI that keeps signals in."""


def make_ruleset(readable: list[str], writable: list[str]) -> int:
    """A Landlock ruleset, as a descriptor: what is not named is out of reach; no TCP, no signals to others where the
    kernel's ABI has them.
    """
    version = landlock_version()
    rights = (1 << _FILE_RIGHTS.get(version, 16)) - 1
    fields = (rights, 0b11 if version >= 4 else 0, 0b11 if version >= SIGNALS_SINCE else 0)
    size = 8 if version < 4 else 16 if version < SIGNALS_SINCE else 24
    packed = struct.pack("QQQ", *fields)[:size]
    ruleset = _check(
        _libc.syscall(ctypes.c_long(_LANDLOCK_CREATE), packed, ctypes.c_size_t(size), ctypes.c_uint(0)),
        "landlock_create_ruleset",
    )
    for paths, allowed in ((readable, _READ), (writable, rights)):
        for path in paths:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
            kept = allowed if os.path.isdir(path) else allowed & _ON_FILES_ONLY
            rule = struct.pack("=Qi", kept, descriptor)
            _check(
                _libc.syscall(ctypes.c_long(_LANDLOCK_ADD), ctypes.c_int(ruleset), ctypes.c_int(1), rule, ctypes.c_uint(0)),
                f"landlock_add_rule {path}",
            )
            os.close(descriptor)
    return ruleset


def restrict_files(ruleset: int) -> None:
    """Puts a Landlock ruleset in force for this process and its children; needs `refuse_privileges` first."""
    _check(_libc.syscall(ctypes.c_long(_LANDLOCK_RESTRICT), ctypes.c_int(ruleset), ctypes.c_uint(0)), "landlock_restrict_self")
