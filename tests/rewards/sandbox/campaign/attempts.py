"""Hostile attempts. Each is Python that succeeds, or raises an exception if it is refused."""

from __future__ import annotations

import sysconfig
from pathlib import Path

from rewards.sandbox.local import seccomp
from tests import ROOT

_STDLIB = Path(sysconfig.get_path("stdlib"))

_FILES = [
    *("/etc/passwd", "/etc/shadow", "/etc/hostname", "/root/.bashrc", "/proc/1/environ", "/proc/1/maps", "/proc/1/mem"),
    *(
        "/proc/kcore",
        "/proc/kmsg",
        "/proc/sys/kernel/hostname",
        "/proc/meminfo",
        "/proc/net/tcp",
        "/sys/kernel/mm",
        "/dev/kmsg",
    ),
    *("/dev/mem", "/dev/sda", "/dev/tty", "/dev/ptmx", "/dev/fuse", "/var/log/dpkg.log", "/run/secrets"),
    *(str(ROOT / "README.md"), str(ROOT / "rewards" / "entry.py")),
]
_WRITES = [
    *("/new", "/etc/new", "/usr/lib/new", "/var/tmp/new", "/home/new", "/dev/new", "/proc/self/oom_score_adj"),
    *(str(_STDLIB / "new.py"), str(ROOT / "new")),
]

_SYSCALL = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def call(*arguments):
    if libc.syscall(*(ctypes.c_long(each) if isinstance(each, int) else each for each in arguments)) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
"""

_BY_HAND = {
    # Other processes.
    **{
        f"prlimit of the parent: {name}": f"import os, resource\nresource.prlimit(os.getppid() or 1, resource.{name}, (1, 1))"
        for name in ("RLIMIT_CPU", "RLIMIT_AS", "RLIMIT_DATA", "RLIMIT_NOFILE", "RLIMIT_FSIZE", "RLIMIT_STACK", "RLIMIT_NPROC")
    },
    "prlimit of the first process": "import resource\nresource.prlimit(1, resource.RLIMIT_CPU, (1, 1))",
    "prlimit of the victim": "import resource\nresource.prlimit({victim}, resource.RLIMIT_CPU, (0, 0))",
    "reading the victim's limits": "import resource\nresource.prlimit({victim}, resource.RLIMIT_CPU)",
    "cores of the first process": "import os\nos.sched_setaffinity(1, {{0}})",
    "cores of the victim": "import os\nos.sched_setaffinity({victim}, {{0}})",
    "cores of the parent": "import os\nos.sched_setaffinity(os.getppid() or 1, {{0}})",
    "killing the victim": "import os\nos.kill({victim}, 9)",
    "stopping the victim": "import os\nos.kill({victim}, 19)",
    "killing the victim's group": "import os\nos.killpg({victim}, 9)",
    "a signal through a file's owner": "import fcntl, os\nr, w = os.pipe()\nfcntl.fcntl(r, fcntl.F_SETOWN, {victim})",
    "choosing the signal of a file": "import fcntl, os\nr, w = os.pipe()\nfcntl.fcntl(r, 10, 9)",
    "an owner by ioctl": "import fcntl, os, struct\nr, w = os.pipe()\nfcntl.ioctl(r, 0x8901, struct.pack('i', {victim}))",
    "the victim's memory": "open('/proc/{victim}/mem', 'rb').read(1)",
    "the victim's environment": "open('/proc/{victim}/environ', 'rb').read(1)",
    "the victim's group": "import os\nos.setpgid({victim}, 0)",
    # The host's files.
    "permissions of the victim's file": "import os\nos.chmod({file!r}, 0)",
    "permissions of the victim's folder": "import os\nos.chmod({folder!r}, 0)",
    "times of the victim's file": "import os\nos.utime({file!r}, (5, 5))",
    "owner of the victim's file": "import os\nos.chown({file!r}, 1, 1)",
    "reading the victim's file": "open({file!r}).read()",
    "writing the victim's file": "open({file!r}, 'a').write('x')",
    "truncating the victim's file": "import os\nos.truncate({file!r}, 0)",
    "removing the victim's file": "import os\nos.unlink({file!r})",
    "renaming the victim's file": "import os\nos.rename({file!r}, {file!r} + '2')",
    "linking to the victim's file": "import os\nos.link({file!r}, 'mine')",
    "reading through a symbolic link": "import os\nos.symlink({file!r}, 'mine')\nopen('mine').read()",
    "listing the victim's folder": "import os\nos.listdir({folder!r})",
    "a file in the victim's folder": "open({folder!r} + '/new', 'w')",
    "a folder in the victim's folder": "import os\nos.mkdir({folder!r} + '/new')",
    "watching the victim's folder": _SYSCALL + "if libc.inotify_init() < 0: raise OSError",
    "an attribute of its folder": "import os\nos.setxattr('.', 'user.x', b'1')",
    "an attribute by a newer call": _SYSCALL + "call(463, -100, b'.', 0, b'user.x', b'x' * 16, 16)",
    "the root of all files": "import os\nos.chroot('.')",
    "a device": "import os, stat\nos.mknod('node', 0o600 | stat.S_IFCHR, os.makedev(1, 1))\nopen('node', 'rb').read(1)",
    "permissions of /dev/null": "import os\nos.chmod('/dev/null', 0o600)",
    "a listing of the host": "import os\nos.listdir('/home')",
    # The network.
    "an internet socket": "import socket\nsocket.socket()",
    "a datagram socket": "import socket\nsocket.socket(type=socket.SOCK_DGRAM)",
    "a unix socket": "import socket\nsocket.socket(socket.AF_UNIX)",
    "a netlink socket": "import socket\nsocket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "a packet socket": "import socket\nsocket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
    "a pair of datagram sockets": "import socket\nsocket.socketpair(type=socket.SOCK_DGRAM)",
    "a pair of packet sockets": "import socket\nsocket.socketpair(type=socket.SOCK_SEQPACKET)",
    "a pair that does not block": "import socket\nsocket.socketpair(type=socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)",
    "a connection": "import socket\nsocket.create_connection(('127.0.0.1', 22), 1)",
    # Privileges and limits.
    "another user": "import os\nos.setresuid(*(3 * [0 if os.getuid() else 1]))",
    "another group": "import os\nos.setresgid(*(3 * [0 if os.getgid() else 1]))",
    "all groups": "import os\nos.setgroups([0, 1, 2])",
    "more memory": "import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
    "more CPU time": "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (-1, -1))",
    "larger files": "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))",
    "more open files": "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (1 << 16, 1 << 16))",
    "core dumps": "import resource\nresource.setrlimit(resource.RLIMIT_CORE, (-1, -1))",
    "locked memory": "import resource\nresource.setrlimit(resource.RLIMIT_MEMLOCK, (-1, -1))",
    "a higher priority": "import os\nos.setpriority(os.PRIO_PROCESS, 0, -5)",
    "a real-time priority": "import os\nos.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))",
    "a new user namespace": _SYSCALL + "if libc.unshare(0x10000000) < 0: raise OSError",
    "a process in a new namespace": _SYSCALL + "call({clone}, 0x10000011, 0, 0, 0, 0)",
    "clone3": _SYSCALL + "call(435, 0, 0)",
    "memory without a name": "import os\nos.memfd_create('x')",
    "shared memory that stays": _SYSCALL + "if libc.shmget(1, 4096, 0o1666) < 0: raise OSError",
    "a message queue that stays": _SYSCALL + "if libc.msgget(1, 0o1666) < 0: raise OSError",
    "a semaphore that stays": _SYSCALL + "if libc.semget(1, 1, 0o1666) < 0: raise OSError",
    "another host name": "import socket\nsocket.sethostname('mine')",
    "another clock": "import time\ntime.clock_settime(time.CLOCK_REALTIME, 0)",
    "a call by the x32 interface": _SYSCALL + "call(0x40000000 + 41, 2, 1, 0)",
    # What was there before.
    "our frames": (
        "import sys\nframe = sys._getframe()\nwhile frame.f_back is not None and frame.f_code.co_filename in {names}:\n"
        "    frame = frame.f_back\nif frame.f_code.co_filename in {names}: raise ValueError"
    ),
    "our frames by an exception": (
        "import sys\ntry: 1 / 0\nexcept ZeroDivisionError as error: trace = error.__traceback__\n"
        "if trace.tb_frame.f_back is None: raise ValueError"
    ),
    "frames of other threads": "import sys\nif len(sys._current_frames()) == 1: raise ValueError",
    "an open file besides the streams": (
        "import os\nfound = []\nfor number in range({first}, 200):\n    try: found.append(os.fstat(number))\n"
        "    except OSError: pass\nif not found: raise ValueError"
    ),
    "something in the folder": "import os\nif not os.listdir('.'): raise ValueError",
    "a module of the sandbox": "import rewards.sandbox",
    "a package of the client": "import pyseccomp",
}

_NOT_CALLED = {"fork", "vfork"}
SYSTEM_CALLS = sorted({*seccomp._REFUSED} - _NOT_CALLED)
"""Calls that are refused before the kernel looks at their arguments."""


def make_attempts(values: dict[str, object]) -> dict[str, str]:
    """Return all attempts, by name.

    Args:
        values: `victim` (a process), `file` and `folder` (the victim's), `clone` (number of the call), `names` (of the code
            that runs), `first` (the lowest number of a descriptor that must not be open).
    """
    attempts = {f"reading {path}": f"open({path!r}, 'rb').read(1)" for path in _FILES}
    attempts |= {f"writing {path}": f"open({path!r}, 'w')" for path in _WRITES}
    attempts |= {name: code.format_map(values) if "{" in code else code for name, code in _BY_HAND.items()}
    for name in SYSTEM_CALLS:
        number = resolve(name)
        if number >= 0:
            # Another error than these two means that the kernel has looked at the arguments.
            attempts[f"system call {name}"] = (
                f"{_SYSCALL}try: call({number}, -1, -1, -1, -1, -1, -1)\n"
                "except OSError as error:\n    if error.errno in (1, 38): raise"
            )
    return attempts


def resolve(name: str) -> int:
    """Return the number of a system call; negative if this machine does not have it."""
    import pyseccomp

    try:
        return int(pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name))
    except ValueError:
        return -1
