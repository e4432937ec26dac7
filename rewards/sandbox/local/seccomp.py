"""The system calls that a program may not make, compiled into a seccomp filter by libseccomp."""

from __future__ import annotations

import errno
import functools
import sys
import tempfile
from typing import Any

_NETWORK = ("socket", "bind", "connect", "listen", "accept", "accept4")
"""`socketpair`, which reaches nobody, stays: asyncio needs it."""
_OTHER_PROCESSES = ("ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd", "process_madvise")
_OUTLIVES_THE_PROGRAM = (
    *("shmget", "shmat", "shmctl", "semget", "semop", "semtimedop", "semctl", "msgget", "msgsnd", "msgrcv", "msgctl"),
    *("mq_open", "mq_unlink", "add_key", "request_key", "keyctl"),
    *("setxattr", "lsetxattr", "fsetxattr"),
)
_ESCAPES_LIMITS = ("memfd_create", "memfd_secret", "setpriority", "sched_setscheduler", "sched_setattr", "ioprio_set")
_NAMESPACES_AND_MOUNTS = (
    *("unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "mount_setattr"),
    *("fsopen", "fsconfig", "fsmount", "fspick", "open_by_handle_at", "name_to_handle_at", "fanotify_init"),
)
_KERNEL = (
    *("bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register"),
    *("init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot", "swapon", "swapoff"),
    *("acct", "quotactl", "syslog", "personality", "settimeofday", "clock_settime", "clock_adjtime", "adjtimex"),
    *("sethostname", "setdomainname", "vhangup", "iopl", "ioperm", "modify_ldt"),
)
_NEW_NAMESPACES = 0x7E020080
"""The namespace flags of clone(2)."""
_THREAD = 0x10000
_SIGNALS = ("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal")


class NoFilterError(RuntimeError):
    """A filter cannot be made here; says why."""


@functools.cache
def compile_filter(*, forks: bool, signals: bool) -> bytes:
    """The filter as BPF for this machine's architecture; refused calls fail with EPERM.

    Args:
        forks: processes may be made; threads always may.
        signals: signals may be sent.

    Raises:
        NoFilterError: pyseccomp or libseccomp is not installed.
    """
    library = _import_library()
    made = library.SyscallFilter(library.ALLOW)
    refuse = library.ERRNO(errno.EPERM)
    names = [*_NETWORK, *_OTHER_PROCESSES, *_OUTLIVES_THE_PROGRAM, *_ESCAPES_LIMITS, *_NAMESPACES_AND_MOUNTS, *_KERNEL]
    names += [] if forks else ["fork", "vfork"]
    names += [] if signals else _SIGNALS
    for name in names:
        _add(library, made, refuse, name)
    # Its flags lie in memory, where no filter can look; the C library falls back to clone.
    _add(library, made, library.ERRNO(errno.ENOSYS), "clone3")
    # A rule that compares a mask holds for one value of it: one rule a flag.
    for flag in (1 << bit for bit in range(32) if _NEW_NAMESPACES >> bit & 1):
        _add(library, made, refuse, "clone", library.Arg(0, library.MASKED_EQ, flag, flag))
    if not forks:
        _add(library, made, refuse, "clone", library.Arg(0, library.MASKED_EQ, _THREAD, 0))
    with tempfile.TemporaryFile() as file:
        made.export_bpf(file)
        file.seek(0)
        return file.read()


def _import_library() -> Any:
    try:
        import pyseccomp
    except ImportError as error:
        raise NoFilterError(f"pyseccomp is not installed in {sys.executable} (pip install pyseccomp)") from error
    except (OSError, RuntimeError, AttributeError) as error:
        raise NoFilterError("libseccomp.so.2 was not found (Debian: apt install libseccomp2)") from error
    return pyseccomp


def _add(library: Any, made: Any, action: int, name: str, *arguments: Any) -> None:
    try:
        made.add_rule(action, name, *arguments)
    except (OSError, ValueError, RuntimeError):
        # A call that this architecture, or this libseccomp, does not know by name cannot be refused by name.
        if name in ("socket", "ptrace", "clone", "clone3", "unshare"):
            raise
