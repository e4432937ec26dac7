"""Takes rights and resources from this process, then runs a program: `launcher.py PROGRAM LIMITS_AS_JSON`."""

import ctypes
import json
import math
import os
import resource
import signal
import sys

_NEW_USER, _NEW_PID, _NEW_NET, _NEW_IPC = 0x10000000, 0x20000000, 0x40000000, 0x08000000
_SET_PARENT_DEATH_SIGNAL, _SET_NO_NEW_PRIVILEGES = 1, 38
_PROCESSES = 64


def _isolate() -> bool:
    """Leaves the host's network and processes, where the kernel lets us."""
    libc = ctypes.CDLL(None)
    libc.prctl(_SET_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    if libc.unshare(_NEW_USER | _NEW_PID | _NEW_NET | _NEW_IPC) != 0:
        return False
    # Only a child is in the new process namespace. As its first process it takes all others with it when it ends.
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        os._exit(128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))
    libc.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    return True


def _limit(limits: dict[str, float], isolated: bool) -> None:
    seconds = math.ceil(limits["cpu_seconds"])
    # The hard limit kills: the first process of a namespace does not hear the soft one's SIGXCPU.
    wanted = {
        resource.RLIMIT_CPU: (seconds, seconds),
        resource.RLIMIT_AS: (int(limits["memory_mb"]) << 20,) * 2,
        resource.RLIMIT_FSIZE: (int(limits["output_bytes"]) + 1,) * 2,
        resource.RLIMIT_CORE: (0, 0),
        resource.RLIMIT_NOFILE: (64, 64),
    }
    if isolated:  # counted per user and namespace: without one, the limit would count the trainer's own processes
        wanted[resource.RLIMIT_NPROC] = (_PROCESSES, _PROCESSES)
    for kind, (soft, hard) in wanted.items():
        most = resource.getrlimit(kind)[1]
        hard = hard if most == resource.RLIM_INFINITY else min(hard, most)
        resource.setrlimit(kind, (min(soft, hard), hard))


def main() -> None:
    """Runs the program as `__main__`, under the limits."""
    path, limits = sys.argv[1], json.loads(sys.argv[2])
    with open(path, encoding="utf-8") as file:  # noqa: PTH123 (pathlib costs every run its import)
        program = file.read()
    _limit(limits, _isolate())
    sys.argv = [path]
    exec(compile(program, "<program>", "exec", dont_inherit=True), {"__name__": "__main__"})


main()
