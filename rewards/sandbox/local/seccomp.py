"""The system calls that a program may not make, compiled into a seccomp filter by libseccomp."""

from __future__ import annotations

import errno
import functools
import sys
import tempfile
from typing import Any

_REFUSED = (
    # The network. `socketpair` stays allowed: asyncio needs it, and it connects to nothing else.
    *("socket", "bind", "connect", "listen", "accept", "accept4"),
    # Other processes.
    *("ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd", "process_madvise"),
    # What outlives the program.
    *("shmget", "shmat", "shmctl", "semget", "semop", "semtimedop", "semctl", "msgget", "msgsnd", "msgrcv", "msgctl"),
    *("mq_open", "mq_unlink", "add_key", "request_key", "keyctl", "setxattr", "lsetxattr", "fsetxattr"),
    # What escapes the limits.
    *("memfd_create", "memfd_secret", "setpriority", "sched_setscheduler", "sched_setattr", "ioprio_set"),
    # Namespaces and mounts.
    *("unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "mount_setattr"),
    *("fsopen", "fsconfig", "fsmount", "fspick", "open_by_handle_at", "name_to_handle_at", "fanotify_init"),
    # Interfaces of the kernel that programs do not need.
    *("bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register"),
    *("init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot", "swapon", "swapoff"),
    *("acct", "quotactl", "syslog", "personality", "settimeofday", "clock_settime", "clock_adjtime", "adjtimex"),
    *("sethostname", "setdomainname", "vhangup", "iopl", "ioperm", "modify_ldt"),
)
_SIGNALS = ("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal")
_REQUIRED = ("socket", "ptrace", "clone", "clone3", "unshare")
_NEW_NAMESPACES = 0x7E020080
"""The namespace flags of clone(2)."""
_THREAD = 0x10000


class NoFilterError(RuntimeError):
    """A filter cannot be compiled here; the message is the reason."""


@functools.cache
def compile_filter(*, forks: bool, signals: bool) -> bytes:
    """Return the filter as BPF for this machine's architecture. Refused calls fail with EPERM.

    Args:
        forks: allow new processes; new threads are always allowed.
        signals: allow sending signals.

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

    for name in (*_REFUSED, *(() if forks else ("fork", "vfork")), *(() if signals else _SIGNALS)):
        add(refuse, name)
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
        return file.read()
