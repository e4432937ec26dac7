"""The kinds of isolation that this machine's kernel offers, and a description of the one in force."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import sys
import sysconfig
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rewards.sandbox.base import SandboxError
from rewards.sandbox.local.inside import cgroup, kernel
from rewards.sandbox.local.seccomp import NoFilterError, compile_filter
from rewards.sandbox.program import Limits

Kind = Literal["namespaces", "landlock", "weak"]
"""namespaces: separate users, processes, network and files, and a seccomp filter.
landlock: Landlock for files and seccomp for everything else, for containers without namespaces. weak: limits only.
"""
Demand = Literal["strong", "weak"]
ACCEPTED: dict[Demand, tuple[Kind, ...]] = {"strong": ("namespaces", "landlock"), "weak": ("namespaces", "landlock", "weak")}
"""The kinds that satisfy a demand, best first."""

_SYSTEM_LIBRARIES = ("/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib64", "/usr/share/zoneinfo")
_NOBODY = 65534
_WORK = ("/tmp", "/work", "/box", "/sandbox")
_EXTRAS = ("sortedcontainers",)
"""Packages that programs can import besides the standard library, as in LeetCode's own judge."""


class NotOfferedError(Exception):
    """The kernel or the container does not allow it."""


@dataclass
class Isolation:
    """One kind of isolation on this machine."""

    kind: Kind
    filter: bytes = b""
    session_filter: bytes = b""
    """In a session the processes have no hard limits, because each call has its own; so they may not set them."""
    no_filter: str = ""
    """Why there is no seccomp filter."""
    hello: dict[str, Any] = field(default_factory=dict)
    """The first worker's report of its isolation."""
    refused: tuple[str, ...] = ()
    """Better kinds that failed, with the kernel's error."""

    def configure(self, root: Path, imports: tuple[str, ...]) -> dict[str, Any]:
        """Return the template's configuration."""
        packages = _find_packages(imports)
        extras = [(name, folder) for name in _EXTRAS if (folder := _find_folder(name)) is not None]
        readable = _find_readable([*packages, *(f"{folder}/{name}" for name, folder in extras)])
        return {
            "mode": self.kind,
            "root": str(root),
            "imports": list(imports),
            "packages": packages,
            "extras": extras,
            "readable": readable,
            # The programs' folder in their own file system: `/tmp`, unless a Python or a package is in it.
            "own_work": next(each for each in _WORK if not any(path.startswith(f"{each}/") for path in readable)),
            "temporary": tempfile.gettempdir(),
            "file_mb": Limits().file_mb,
            "filter": self.filter.hex(),
            "session_filter": self.session_filter.hex(),
            "host_user": _NOBODY if os.geteuid() == 0 else None,
            "groups": cgroup.find(),
        }


def prepare(kind: Kind) -> Isolation:
    """Compile the filter of a kind of isolation.

    Raises:
        NotOfferedError: this kind is not available here.
    """
    version = kernel.landlock_version()
    if kind == "landlock" and version == 0:
        raise NotOfferedError("the kernel has no Landlock")
    # Without a process namespace a signal reaches every process of the same user, unless Landlock prevents it.
    confined = kind == "namespaces" or (kind == "landlock" and version >= kernel.SIGNALS_SINCE)
    rules = {"forks": kind != "landlock", "signals": confined, "own_files": kind != "landlock"}
    try:
        return Isolation(kind, compile_filter(**rules), compile_filter(**rules, limits=False))
    except NoFilterError as error:
        if kind != "weak":
            raise NotOfferedError(str(error)) from error
        return Isolation(kind, no_filter=str(error))


def describe(isolation: Isolation) -> list[tuple[str, str]]:
    """Return what is in force, for display."""
    name, network, files, processes = {
        "namespaces": (
            "namespaces",
            "none (network namespace)",
            "a read-only Python and an empty folder in memory (mount namespace)",
            "only its own (process namespace)",
        ),
        "landlock": (
            "Landlock and seccomp",
            "sockets refused (seccomp)",
            f"a read-only Python and an empty folder (Landlock ABI {kernel.landlock_version()}); names can be guessed",
            "cannot be created",
        ),
        "weak": (
            "WEAK: resource limits only",
            "sockets refused (seccomp)" if isolation.filter else "NOT isolated",
            "the host's, as this user",
            "the host's, as this user",
        ),
    }[isolation.kind]
    return [
        ("isolation", name),
        ("network", network),
        ("files", files),
        ("processes", processes),
        ("privileges", "none, cannot be gained"),
        ("system calls", f"no seccomp filter: {isolation.no_filter}" if isolation.no_filter else "seccomp filter"),
        ("limits", "CPU time, memory, wall time, processes, file size, output"),
        ("CPU time counted", _describe_count(isolation.hello, "cpu", "one process")),
        ("memory counted", _describe_count(isolation.hello, "memory", "address space of each process")),
        *(("unavailable", each) for each in isolation.refused),
    ]


def _describe_count(hello: dict[str, Any], what: str, alone: str) -> str:
    """Return how a worker counts what its programs use; `alone`: what it counts where it can see one process only."""
    kind = hello.get("counted", {}).get(what)
    if kind is not None:
        return f"all processes together, by cgroup {'v2' if kind == 'v2' else f'v1 ({kind})'}"
    return "all processes together, by /proc (no cgroup counts it)" if hello.get("proc") else alone


def python() -> str:
    """Return the interpreter that programs run in: the one that a virtual environment was created from."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


def _find_readable(packages: list[str]) -> list[str]:
    """Return the paths of the Python, its libraries and the packages, none inside another."""
    prefix = os.path.realpath(sys.base_prefix)
    if prefix in ("/usr", "/usr/local", "/"):
        installed = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), python()]
        installed += [str(each) for each in Path(prefix, "lib").glob("libpython*")]
    else:
        installed = [prefix]
    kept: list[str] = []
    for path in sorted(dict.fromkeys((*_SYSTEM_LIBRARIES, *installed, *packages)), key=len):
        if os.path.lexists(path) and not any(path.startswith(f"{other}/") for other in kept if not Path(other).is_symlink()):
            kept.append(path)
    return kept


def _find_packages(imports: tuple[str, ...]) -> list[str]:
    """Return the folders on this Python's path that hold the imports and their dependencies."""
    if not imports:
        return []
    folders = [path for path in sys.path if path and "site-packages" in path and Path(path).is_dir()]
    for name in imports:
        folder = _find_folder(name.partition(".")[0])
        if folder is None:
            raise SandboxError(f"package {name} is not installed in {sys.executable}")
        folders.append(folder)
    return list(dict.fromkeys(folders))


def _find_folder(name: str) -> str | None:
    """Return the folder that contains a top-level module or package."""
    with contextlib.suppress(ValueError):  # a module without a spec
        spec = importlib.util.find_spec(name)
        paths = [*(spec.submodule_search_locations or ()), spec.origin or ""] if spec is not None else []
        return next((str(Path(path).parent) for path in paths if path and Path(path).exists()), None)
    return None
