"""The template: a Python that is warmed once and forks the workers. Started only by `rewards.sandbox.local.pool`.

It reads its configuration, and then one message per worker, from a socket. Each message carries the worker's connection. The
template ends when the other side of the socket closes.
"""

from __future__ import annotations

import _sitebuiltins
import atexit
import builtins
import contextlib
import gc
import importlib
import os
import signal
import socket
import sys
import threading
from typing import Any, NoReturn

from rewards.sandbox.local.inside import cgroup, driver, kernel, messages, worker_process
from rewards.sandbox.local.inside.placement import join_mappings
from rewards.sandbox.local.inside.worker import PROGRAM_USER, end_children, reap_children

COMMON = (
    *("__future__", "abc", "array", "ast", "bisect", "builtins", "cmath", "collections", "collections.abc", "contextlib"),
    *("copy", "dataclasses", "datetime", "decimal", "enum", "fractions", "functools", "gc", "heapq", "io", "itertools"),
    *("json", "linecache", "math", "operator", "os", "queue", "random", "re", "statistics", "string", "struct", "sys"),
    *("textwrap", "threading", "time", "traceback", "types", "typing"),
)
"""The modules that programs import most, loaded in advance. More would make every fork more expensive."""

_COLLECT_AFTER = 20_000
"""Allocations before the youngest generation is collected. With Python's default of 700, a program of a few milliseconds
pays for collections that find nothing."""


def main(descriptor: str) -> None:
    """Serve the socket with this number until its other side closes."""
    control = socket.socket(fileno=int(descriptor))
    control.set_inheritable(False)
    # A signal that can be handled, because the programs' folder has to be removed.
    kernel.die_with_parent(signal.SIGTERM)
    config = messages.receive_json(control)
    try:
        _warm(config)
    except BaseException as error:
        control.sendall(messages.pack_json({"error": f"{type(error).__name__}: {error}"}))
        return
    control.sendall(messages.pack_json({"ready": True}))
    kernel.adopt_orphans()
    cgroup.remove_abandoned(config["groups"])
    template = _Template(config, control)
    signal.signal(signal.SIGCHLD, lambda *_: template.reap())
    signal.signal(signal.SIGTERM, lambda *_: template.stop())
    driver.run(template)


class _Template:
    """Forks one worker per message, until the other side of its socket closes."""

    def __init__(self, config: dict[str, Any], control: socket.socket) -> None:
        self._config, self._control = config, control
        self._workers = 0
        self._groups: set[str] = set()
        """The names of the workers' groups."""
        self._ending = threading.Lock()
        self._folder: str | None = None
        if config["mode"] != "namespaces":
            import tempfile  # here and below: every program would have it in memory

            # Workers that see the host's files get folders in this one; the template also removes it.
            self._folder = tempfile.mkdtemp(prefix="sandbox-", dir=config["temporary"])
            os.chmod(self._folder, 0o711)

    def next(self) -> None:
        """Fork the next worker."""
        try:
            kind, descriptors, _, _ = socket.recv_fds(self._control, 1, 1)
        except ConnectionResetError:
            kind = b""
        if not kind:
            self.end()
        self._workers += 1
        group = cgroup.make_name()
        config = {**self._config, "session": kind == messages.SESSION, "group": group}
        if self._folder is not None:
            config["work"] = f"{self._folder}/{self._workers}"
            os.mkdir(config["work"])
            if config["mode"] == "landlock" and config["host_user"] is not None:
                os.chown(config["work"], config["host_user"], config["host_user"])
        _fork_worker(config, descriptors[0], self._control)
        # Not before: until the worker is in its group, `reap` would remove it.
        self._groups.add(group)

    def failed(self, error: BaseException | None) -> None:
        """Never called: it has no actions."""

    def reap(self) -> None:
        """Take note of workers that have ended. For a signal handler."""
        reap_children()
        for name in list(self._groups):
            if cgroup.remove(self._config["groups"], name):
                self._groups.discard(name)

    def stop(self) -> None:
        """End this process, unless it is ending already. For a signal handler, which the next signal may interrupt.

        Each thread of the client that ends may send the signal (prctl(2), PR_SET_PDEATHSIG).
        """
        if self._ending.acquire(blocking=False):
            self._end()

    def end(self) -> NoReturn:
        """End this process."""
        self._ending.acquire()  # for ever: the other caller waits for the end of the process
        self._end()

    def _end(self) -> NoReturn:
        """End all workers, remove their folders and groups, and end this process."""
        end_children()
        if self._folder is not None:
            import shutil

            shutil.rmtree(self._folder, ignore_errors=True)
        cgroup.remove_all(self._config["groups"], self._groups)
        os._exit(0)


def _warm(config: dict[str, Any]) -> None:
    os.environ.pop("LD_BIND_NOW", None)  # it is for this process
    for name in COMMON:
        with contextlib.suppress(ImportError):  # a Python that was built without it
            importlib.import_module(name)
    # What `site` adds to the built-in functions; the rest of it is for virtual environments.
    for name in ("quit", "exit"):
        setattr(builtins, name, _sitebuiltins.Quitter(name, "Ctrl-D (i.e. EOF)"))
    builtins.help = _sitebuiltins._Helper()
    sys.path[:] = [path for path in sys.path if path != config["root"]] + config["packages"]
    for name, folder in config["extras"]:
        sys.path.append(folder)
        if config["mode"] != "namespaces":
            # A program cannot find them by itself there, because it cannot list their folder.
            importlib.import_module(name)
            sys.path.remove(folder)
    for name in config["imports"]:
        importlib.import_module(name)
    # A program must not see these modules, and may have modules of the same names.
    for name in [name for name in sys.modules if name.partition(".")[0] == "rewards"]:
        del sys.modules[name]
    worker_process.place()
    # Exit functions of the modules above must not run in programs.
    atexit._clear()
    gc.collect()
    join_mappings()
    # These objects live forever: collections in the forked processes would only copy their pages.
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)


def _fork_worker(config: dict[str, Any], connection: int, control: socket.socket) -> None:
    """Fork a worker into its namespaces. The worker reports errors on its connection."""
    requests, replies = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        control.close()
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, driver.CHILD_ENDS)
        os.close(requests[0])
        os.close(replies[1])
        worker_process.start(config, socket.socket(fileno=connection), requests[1], replies[0])
        return
    for descriptor in (requests[1], replies[0], connection):
        os.close(descriptor)
    with contextlib.suppress(OSError):  # the worker has ended, and has reported why
        if os.read(requests[0], 1) == worker_process.MAP_USERS:
            os.write(replies[1], worker_process.MAPPED if _map_users(pid, config) else worker_process.NOT_MAPPED)
        if config["mode"] == "namespaces":
            # The worker is a grandchild of this process, and becomes its child when the process in between ends.
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)
            os.write(replies[1], worker_process.ADOPTED)
    os.close(requests[0])
    os.close(replies[1])


def _map_users(pid: int, config: dict[str, Any]) -> bool:
    """Map a second user for programs, because the kernel does not count root's processes (kernel/fork.c, `INIT_USER`)."""
    try:
        for kind in ("uid_map", "gid_map"):
            with open(f"/proc/{pid}/{kind}", "w") as file:
                file.write(f"0 0 1\n{PROGRAM_USER} {config['host_user']} 1\n")
    except OSError:  # a container whose root has no other users
        return False
    return True
