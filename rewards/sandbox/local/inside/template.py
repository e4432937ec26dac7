"""The template: a Python that is warmed once and forks the workers. Started by `rewards.sandbox.local.sandbox` alone.

It reads its configuration and one message per worker from a socket; a worker's own connection comes with the message.
It ends when the socket's other side does.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import os
import signal
import socket
import sys
from typing import Any

from rewards.sandbox.local.inside import kernel, messages, worker
from rewards.sandbox.local.inside.child import PROGRAM_USER

COMMON = (
    *(
        "__future__",
        "abc",
        "array",
        "ast",
        "bisect",
        "builtins",
        "cmath",
        "collections",
        "collections.abc",
        "contextlib",
        "copy",
    ),
    *("dataclasses", "datetime", "decimal", "enum", "fractions", "functools", "gc", "heapq", "io", "itertools", "json"),
    *("linecache", "math", "operator", "os", "queue", "random", "re", "statistics", "string", "struct", "sys", "textwrap"),
    *("threading", "time", "traceback", "types", "typing"),
)
"""What programs of the field import most: they find it loaded. More would make every fork dearer."""

_COLLECT_AFTER = 20_000
"""Allocations before the youngest objects are searched for cycles. Python's own 700 means that a program of a few
milliseconds pays for searches that find nothing."""


def main(descriptor: int) -> None:
    """Serves the socket with this number until its other side is gone."""
    control = socket.socket(fileno=descriptor)
    control.set_inheritable(False)
    # A signal that can be heard: the programs' folder is to be removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    kernel.die_with_parent(signal.SIGTERM)
    config = messages.receive_json(control)
    try:
        _warm(config)
    except BaseException as error:
        control.sendall(messages.pack_json({"error": f"{type(error).__name__}: {error}"}))
        return
    control.sendall(messages.pack_json({"ready": True}))
    kernel.adopt_orphans()
    signal.signal(signal.SIGCHLD, lambda *_: _reap())
    if config["mode"] == "namespaces":
        _serve(config, control, None)
        return
    import shutil
    import tempfile

    # Workers that see the host's files get folders in one that is made here, and removed by whom it was made.
    folder = tempfile.mkdtemp(prefix="sandbox-", dir=config["temporary"])
    try:
        _serve(config, control, folder)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        worker.end_children()
        shutil.rmtree(folder, ignore_errors=True)


def _serve(config: dict[str, Any], control: socket.socket, folder: str | None) -> None:
    workers = 0
    while True:
        try:
            data, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        except ConnectionResetError:
            return
        if not data:
            return
        workers += 1
        if folder is not None:
            config["work"] = f"{folder}/{workers}"
            os.mkdir(config["work"])
        _make_worker(config, descriptors[0], control)


def _warm(config: dict[str, Any]) -> None:
    for name in COMMON:
        with contextlib.suppress(ImportError):  # a Python that was built without it
            importlib.import_module(name)
    sys.path[:] = [path for path in sys.path if path != config["root"]] + config["packages"]
    for name, folder in config["extras"]:
        sys.path.append(folder)
        if config["mode"] != "namespaces":
            # Their folder cannot be listed there, which is how a program would find them.
            importlib.import_module(name)
            sys.path.remove(folder)
    for name in config["imports"]:
        importlib.import_module(name)
    # A program has no business with these names, and may have modules of the same name.
    for name in [name for name in sys.modules if name.partition(".")[0] == "rewards"]:
        del sys.modules[name]
    # What the modules above would do at the end of an interpreter is not the programs' business.
    atexit._clear()
    gc.collect()
    # What is here now lives for ever: collections in the forked processes would only copy its pages.
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)


def _reap() -> None:
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _make_worker(config: dict[str, Any], connection: int, control: socket.socket) -> None:
    """Forks a worker into its namespaces. What goes wrong is told on the worker's own connection."""
    asks, told = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        control.close()
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        os.close(asks[0])
        os.close(told[1])
        worker.start(config, socket.socket(fileno=connection), asks[1], told[0])
    for descriptor in (asks[1], told[0], connection):
        os.close(descriptor)
    with contextlib.suppress(OSError):  # the worker is gone, and has said why
        if os.read(asks[0], 1) == worker.MAP_USERS:
            os.write(told[1], worker.MAPPED if _map_users(pid, config) else worker.NOT_MAPPED)
        if config["mode"] == "namespaces":
            # The worker is this process's child's child, and becomes its child when that has ended.
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
            os.write(told[1], worker.ADOPTED)
    os.close(asks[0])
    os.close(told[1])


def _map_users(pid: int, config: dict[str, Any]) -> bool:
    """Two users for a worker that root made: itself, and for the programs one whose processes the kernel counts.

    It does not count root's (kernel/fork.c, `INIT_USER`).
    """
    try:
        for kind in ("uid_map", "gid_map"):
            with open(f"/proc/{pid}/{kind}", "w") as file:
                file.write(f"0 0 1\n{PROGRAM_USER} {config['host_user']} 1\n")
    except OSError:  # a container whose root has no other users
        return False
    return True
