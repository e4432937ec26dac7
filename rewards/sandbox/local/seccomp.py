"""The system calls that a program may not make, compiled into a seccomp filter by libseccomp."""

from __future__ import annotations

import errno
import functools
import struct
import sys
import tempfile
from typing import Any

_REFUSED = (
    # The network. `socketpair` stays allowed for streams: asyncio needs it, and these connect to nothing else.
    *("socket", "bind", "connect", "listen", "accept", "accept4"),
    # Other processes.
    *("ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd", "process_madvise", "process_mrelease"),
    *("migrate_pages", "move_pages", "get_robust_list"),
    # What outlives the program.
    *("shmget", "shmat", "shmctl", "semget", "semop", "semtimedop", "semctl", "msgget", "msgsnd", "msgrcv", "msgctl"),
    *("mq_open", "mq_unlink", "add_key", "request_key", "keyctl", "setxattr", "lsetxattr", "fsetxattr"),
    *("removexattr", "lremovexattr", "fremovexattr"),
    # What escapes the limits.
    *("memfd_create", "memfd_secret", "setpriority", "sched_setscheduler", "sched_setattr", "ioprio_set"),
    # Such a timer could continue the process of a session, which is stopped between two calls.
    *("sched_setparam", "timer_create"),
    # Namespaces and mounts.
    *("unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "mount_setattr"),
    *("fsopen", "fsconfig", "fsmount", "fspick", "open_by_handle_at", "name_to_handle_at", "fanotify_init"),
    # Interfaces of the kernel that programs do not need.
    *("bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register"),
    *("init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot", "swapon", "swapoff"),
    *("acct", "quotactl", "syslog", "personality", "settimeofday", "clock_settime", "clock_adjtime", "adjtimex"),
    *("sethostname", "setdomainname", "vhangup", "iopl", "ioperm", "modify_ldt"),
    *("sync", "syncfs", "inotify_init", "inotify_init1", "inotify_add_watch"),
)
_ON_HOSTS_FILES = (
    # What Landlock does not restrict: a file's owner, permissions and times and, before Linux 6.2, its length.
    *("chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat"),
    *("utime", "utimes", "utimensat", "futimesat", "truncate"),
)
_SIGNALS = ("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal")
_REQUIRED = ("socket", "ptrace", "clone", "clone3", "unshare")
_NEW_NAMESPACES = 0x7E020080
"""The namespace flags of clone(2)."""
_THREAD = 0x10000
_SOCKET_TYPE, _STREAM = 0xF, 1
_SIGNAL_CHILD = 17
_SET_OWNER, _SET_SIGNAL, _SET_OWNER_EX = 8, 10, 15
"""Commands of fcntl(2)."""
_SET_OWNER_BY_IOCTL = (0x8901, 0x8902)
_RESOURCES, _STACK = 16, 3
_INT = 0xFFFFFFFF
"""The bits of an argument that the kernel reads as an integer: a program can set the others, too."""
_NEWER = 452
"""The first system call that no filter names: those since Linux 6.6 do not exist for programs, whose C library does without.
Their numbers are the same on every architecture."""
# BPF: load the call's number; if it is `_NEWER` or above, return ENOSYS, else go on.
_REFUSE_NEWER = struct.pack(
    "=HBBI HBBI HBBI", 0x20, 0, 0, 0, 0x35, 0, 1, _NEWER, 0x06, 0, 0, 0x00050000 | errno.ENOSYS
)  # fmt: skip


class NoFilterError(RuntimeError):
    """A filter cannot be compiled here; the message is the reason."""


@functools.cache
def compile_filter(*, forks: bool, signals: bool, own_files: bool, limits: bool = True) -> bytes:
    """Return the filter as BPF for this machine's architecture. Refused calls fail with EPERM.

    Args:
        forks: allow new processes; new threads are always allowed.
        signals: allow sending signals.
        own_files: the program sees no files of the host, and may change the permissions of its own.
        limits: allow setting resource limits, which without privileges can only be lowered for good.

    Raises:
        NoFilterError: pyseccomp or libseccomp is not installed.
    """
    try:
        import pyseccomp as library
    except ImportError as error:
        raise NoFilterError(f"pyseccomp is not installed in {sys.executable} (pip install pyseccomp)") from error
    except (OSError, RuntimeError, AttributeError) as error:
        raise NoFilterError("libseccomp.so.2 was not found (Debian: apt install libseccomp2)") from error
    rules = library.SyscallFilter(library.ALLOW)
    refuse = library.ERRNO(errno.EPERM)

    def add(action: int, name: str, *arguments: Any) -> None:
        try:
            rules.add_rule(action, name, *arguments)
        except (OSError, ValueError, RuntimeError):
            # This architecture or this libseccomp does not have a call of this name.
            if name in _REQUIRED:
                raise

    names = (*_REFUSED, *(() if forks else ("fork", "vfork")), *(() if signals else _SIGNALS))
    for name in (*names, *(() if own_files else _ON_HOSTS_FILES)):
        add(refuse, name)
    # Other processes: their limits and cores, and signals by way of a file's owner.
    for name in ("prlimit64", "sched_setaffinity"):
        add(refuse, name, library.Arg(0, library.NE, 0))
    for command in (_SET_OWNER, _SET_SIGNAL, _SET_OWNER_EX):
        add(refuse, "fcntl", library.Arg(1, library.MASKED_EQ, _INT, command))
    for request in _SET_OWNER_BY_IOCTL:
        add(refuse, "ioctl", library.Arg(1, library.MASKED_EQ, _INT, request))
    # A datagram can be sent to any socket of the host that a path leads to.
    for kind in range(_SOCKET_TYPE + 1):
        if kind != _STREAM:
            add(refuse, "socketpair", library.Arg(1, library.MASKED_EQ, _SOCKET_TYPE, kind))
    # A parent that ignores its children's ends would hide their CPU time. The call does nothing, and says that it did.
    add(library.ERRNO(0), "rt_sigaction", library.Arg(0, library.MASKED_EQ, _INT, _SIGNAL_CHILD), library.Arg(1, library.NE, 0))
    if not limits:
        for resource in set(range(_RESOURCES)) - {_STACK}:
            add(refuse, "setrlimit", library.Arg(0, library.MASKED_EQ, _INT, resource))
            add(refuse, "prlimit64", library.Arg(1, library.MASKED_EQ, _INT, resource), library.Arg(2, library.NE, 0))
    # A filter cannot read its flags, which are in memory; with ENOSYS the C library falls back to clone.
    add(library.ERRNO(errno.ENOSYS), "clone3")
    # A masked comparison matches one value of the mask, so each flag needs its own rule.
    for flag in (1 << bit for bit in range(32) if _NEW_NAMESPACES >> bit & 1):
        add(refuse, "clone", library.Arg(0, library.MASKED_EQ, flag, flag))
    if not forks:
        add(refuse, "clone", library.Arg(0, library.MASKED_EQ, _THREAD, 0))
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        return _REFUSE_NEWER + file.read()
