"""A stand-in for `python` that runs its arguments in a process forked by the server: `python -S -I client.py ARGUMENT …`.

It passes on its variables, folder and open files, waits, and ends as the process ends. Without a server it becomes Python
itself. It is started by path and imports little: it takes 20 ms.
"""

from __future__ import annotations

import array
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from contextlib import suppress

SOCKET = "PIPELINE_PRELOAD_SOCKET"
"""Variable: the path of the server's socket."""

_SERVER = "pipelines.trainers.verl.preload.server"
_LONGEST_PATH = 107  # of a Unix socket (sys/un.h)


def main() -> None:
    """Run the arguments in a forked process, and end as it ends."""
    arguments = sys.argv[1:]
    path = os.environ.get(SOCKET) or _path_by_raylet(arguments)
    connection = _connect(path) or (_connect(path) if _start_server(path) else None)
    if connection is None:
        os.execv(sys.executable, [sys.executable, *arguments])
    os.environ[SOCKET] = path
    _send(connection, arguments)
    answer = connection.makefile().readline()
    # A server that was killed takes its processes with it.
    status = int(answer) if answer else -signal.SIGKILL
    if status < 0:
        with suppress(OSError):  # SIGKILL has no handler
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    os._exit(status)


def find_peer(connection: socket.socket) -> tuple[int, int]:
    """Return the process and the user at the other end of a Unix socket."""
    process, user, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    return process, user


def listen(path: str) -> socket.socket | None:
    """Return a socket at a path that accepts connections from the moment it exists; None if there is one already."""
    listening, own = socket.socket(socket.AF_UNIX), f"{path}.{os.getpid()}"
    try:
        listening.bind(own)
        listening.listen(64)
        os.link(own, path)
    except OSError:
        listening.close()
        return None
    finally:
        with suppress(OSError):
            os.unlink(own)
    return listening


def hide(listening: socket.socket) -> None:
    """Remove the path of a socket that `listen` has returned."""
    with suppress(OSError):
        os.unlink(listening.getsockname().rpartition(".")[0])


def _path_by_raylet(arguments: list[str]) -> str:
    """Return a path for the worker's job next to the socket of its raylet, of which each node of a cluster has its own."""
    raylet = next((each.partition("=")[2] for each in arguments if each.startswith("--raylet-name=")), "")
    path = f"{raylet}.{os.environ.get('RAY_JOB_ID')}"
    return path if raylet and len(f"{path}.{os.getpid()}") <= _LONGEST_PATH else ""


def _connect(path: str) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX)
    with suppress(OSError):
        connection.connect(path)
        if find_peer(connection)[1] == os.getuid():
            return connection
    connection.close()
    return None


def _start_server(path: str) -> bool:
    """Start a server that ends with this process's parent, the raylet; return if there is one now."""
    if not path:
        return False
    listening = listen(path)
    if listening is not None:
        number = listening.fileno()
        command = [sys.executable, "-m", _SERVER, str(number), str(os.getppid())]
        subprocess.Popen(command, pass_fds=[number], stdin=subprocess.DEVNULL, process_group=0)
        listening.close()
    return True


def _send(connection: socket.socket, arguments: list[str]) -> None:
    """Send what a process consists of, and close the files: the forked process has them."""
    files = [number for number in map(int, os.listdir("/proc/self/fd")) if number != connection.fileno() and _is_open(number)]
    umask = os.umask(0o77)
    request = {"argv": arguments, "env": dict(os.environ), "cwd": os.getcwd(), "umask": umask, "files": files}
    message = json.dumps(request).encode()
    rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))
    connection.sendmsg([struct.pack("!Q", len(message))], [rights])
    connection.sendall(message)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in files:
        if number > 2:
            os.close(number)
        else:
            os.dup2(nothing, number)


def _is_open(number: int) -> bool:
    with suppress(OSError):
        os.fstat(number)
        return True
    return False


if __name__ == "__main__":
    main()
