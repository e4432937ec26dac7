"""The server, which has imported verl and vLLM and forks for each client: `python -m … SOCKET_NUMBER PROCESS`.

It ends with that process, the raylet, or after ten seconds without a forked process: a cluster's raylet outlives the job. Its
variables are those of the job's workers: Ray reads some while it is imported. It has one thread, so a forked process finds no
lock held by another one; pyarrow's allocator has a second one, and handles forks.
"""

from __future__ import annotations

import array
import ctypes
import gc
import json
import logging
import multiprocessing.util
import os
import select
import signal
import socket
import struct
import sys
import types
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from pipelines.trainers.verl import attempt_files
from pipelines.trainers.verl.preload import client

_MODULES = (
    "ray._private.workers.default_worker",
    "verl.trainer.main_ppo",
    "verl.workers.engine_workers",
    "verl.workers.rollout.vllm_rollout.vllm_async_server",
    "verl.experimental.agent_loop.agent_loop",
    "verl.experimental.reward_loop.reward_loop",
    "vllm.v1.engine.core",
    "vllm.v1.worker.cpu_worker",
    "transformers.models.qwen2.modeling_qwen2",
    "vllm.model_executor.models.qwen2",
)
_IDLE_SECONDS = 10.0
_LAST_SECONDS = 0.2
_PDEATHSIG = 1  # linux/prctl.h
_MOST_FILES = 253  # in one message (SCM_MAX_FD)
_WITH_VALUE = ("-X", "-W")

Request = dict[str, Any]


def main() -> None:
    """Serve on a socket that a client has opened."""
    number, process = map(int, sys.argv[1:])
    listening, watched = socket.socket(fileno=number), os.pidfd_open(process)
    variables = _preload()
    if request := _serve(listening, watched):
        request["env"] = {**variables, **request["env"]}
        _become(request)


def _preload() -> dict[str, str]:
    """Import what the processes of a training import; return the variables that the imports set.

    vLLM's import raises the level of the root logger and its handlers, which only a process with vLLM may have.
    """
    before, root = dict(os.environ), logging.getLogger()
    for name in _MODULES:
        level, levels = root.level, [(each, each.level) for each in root.handlers]
        with suppress(Exception):  # the process that needs it reports it
            import_module(name)
        root.setLevel(level)
        for handler, each in levels:
            handler.setLevel(each)
    return {name: value for name, value in os.environ.items() if before.get(name) != value}


def _become(request: Request) -> None:
    """Turn this forked process into the one that the client was asked to start."""
    with suppress(OSError):  # the client has ended
        # When a worker ends, Ray kills its process group.
        os.setpgid(0, os.getpgid(request["client"]))
    _place_files(request["received"], request["files"])
    if "-c" in request["argv"]:  # a process of multiprocessing; Ray names its workers without this package
        with suppress(ImportError):
            # Finds the memory of the arguments by the variables, and so before they change: vLLM names its engine's process.
            import_module("setproctitle").getproctitle()
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    os.umask(request["umask"])
    attempt_files.name_metrics_file()
    if numpy := sys.modules.get("numpy"):
        numpy.random.seed()
    _start_children_by_client()
    _run(request["argv"])


@dataclass(frozen=True)
class _Child:
    """A forked process: its id, a descriptor of it, and the connection of its client."""

    process: int
    descriptor: int
    connection: socket.socket

    def report(self) -> None:
        """Wait for the end, and send the status to the client."""
        status = os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])
        with suppress(OSError):
            self.connection.sendall(f"{status}\n".encode())
        self.close()

    def close(self) -> None:
        os.close(self.descriptor)
        self.connection.close()


def _serve(listening: socket.socket, watched: int) -> Request | None:
    """Fork for each client until the watched process has ended or no client comes; then return None.

    In a forked process, return its request.
    """
    gc.collect()
    gc.freeze()  # the collector would write to, and so copy, every page
    server, children, seconds = os.getpid(), dict[int, _Child](), _IDLE_SECONDS
    while True:
        polled = select.poll()
        for descriptor in (watched, listening.fileno(), *children):
            polled.register(descriptor, select.POLLIN)
        for child in children.values():
            polled.register(child.connection, select.POLLHUP)
        events = {descriptor for descriptor, _ in polled.poll(None if children else seconds * 1000)}
        if watched in events:
            return None
        if not events:
            if seconds == _LAST_SECONDS:
                return None
            # The next client starts another server; one that has just found this one is still served.
            client.hide(listening)
            seconds = _LAST_SECONDS
        for descriptor, child in list(children.items()):
            if descriptor in events:
                child.report()
                del children[descriptor]
            elif child.connection.fileno() in events:  # the client was killed, and what it stands for ends, too
                os.kill(child.process, signal.SIGKILL)
        if listening.fileno() not in events:
            continue
        connection, _ = listening.accept()
        request = _receive(connection)
        if request is None:
            connection.close()
        elif process := os.fork():
            for number in request["received"]:
                os.close(number)
            child = _Child(process, os.pidfd_open(process), connection)
            children[child.descriptor] = child
        else:
            ctypes.CDLL(None).prctl(_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != server:
                os._exit(1)
            for child in children.values():
                child.close()
            os.close(watched)
            listening.close()
            connection.close()
            return request


def _receive(connection: socket.socket) -> Request | None:
    """Return a client's request with its `received` files; None from another user, or if the client has ended."""
    process, user = client.find_peer(connection)
    if user != os.getuid():
        return None
    received = array.array("i")
    with suppress(OSError, struct.error, ValueError):
        head, ancillary, _, _ = connection.recvmsg(8, socket.CMSG_SPACE(_MOST_FILES * received.itemsize))
        for _, _, data in ancillary:
            received.frombytes(data[: len(data) - len(data) % received.itemsize])
        (length,) = struct.unpack("!Q", head)
        message = connection.makefile("rb").read(length)
        return {**json.loads(message), "received": list(received), "client": process}
    for number in received:
        os.close(number)
    return None


def _place_files(received: list[int], numbers: list[int]) -> None:
    """Give the received files the numbers that they have in the client."""
    free = max([*received, *numbers, 2]) + 1
    for index, number in enumerate(received):
        os.dup2(number, free + index)
        os.close(number)
    for index, number in enumerate(numbers):
        os.dup2(free + index, number)
        os.close(free + index)


def _start_children_by_client() -> None:
    """Start the processes that multiprocessing spawns, such as vLLM's engine, by the client, too."""
    start = multiprocessing.util.spawnv_passfds

    def start_client(path: Any, args: Any, passfds: Any) -> int:
        return start(path, [args[0], "-S", "-I", client.__file__, *args[1:]], passfds)

    multiprocessing.util.spawnv_passfds = start_client


def _run(arguments: list[str]) -> None:
    """Run `[OPTION …] FILE …` or `[OPTION …] -c CODE …` as Python does."""
    first = 0
    while arguments[first].startswith("-") and arguments[first] != "-c":
        first += 2 if arguments[first] in _WITH_VALUE else 1
    main_module = sys.modules["__main__"] = types.ModuleType("__main__")
    if arguments[first] == "-c":
        sys.argv, sys.path[0] = ["-c", *arguments[first + 2 :]], ""
        code = compile(arguments[first + 1], "<string>", "exec")
    else:
        sys.argv = arguments[first:]
        sys.path[0], main_module.__file__ = str(Path(sys.argv[0]).parent), sys.argv[0]
        code = compile(Path(sys.argv[0]).read_bytes(), sys.argv[0], "exec")
    exec(code, vars(main_module))


if __name__ == "__main__":
    main()
