"""What the kernel of this machine offers to isolate programs with, and what of it is in force."""

from __future__ import annotations

import importlib.util
import os
import sys
import sysconfig
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rewards.sandbox.base import SandboxError
from rewards.sandbox.local.inside import kernel
from rewards.sandbox.local.seccomp import NoFilterError, compile_filter
from rewards.sandbox.program import Limits

Kind = Literal["namespaces", "landlock", "weak"]
"""namespaces: of its own users, processes, network and files, and a seccomp filter where libseccomp is installed.
landlock: Landlock for files and seccomp for all the rest, for containers that allow no namespaces. weak: limits only.
"""
Demand = Literal["strong", "weak"]

_SYSTEM_LIBRARIES = ("/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib64")
_NOBODY = 65534
_WORK = ("/tmp", "/work", "/box", "/sandbox")
_EXTRAS = ("sortedcontainers",)
"""Packages that programs find beside the standard library, as LeetCode's own judge has them."""


class NotOfferedError(Exception):
    """The kernel, or whoever runs this container, does not allow it."""


@dataclass
class Isolation:
    """One kind of isolation on this machine."""

    kind: Kind
    missing: str = ""
    """Why it cannot be had here; empty where it may."""
    filter: bytes = b""
    no_filter: str = ""
    """Why there is no seccomp filter."""
    hello: dict[str, Any] = field(default_factory=dict)
    """What the first worker said of itself."""
    refused: tuple[str, ...] = ()
    """Better kinds that were tried, with the kernel's answer."""

    def configure(self, root: Path, imports: tuple[str, ...]) -> dict[str, Any]:
        """The template's configuration."""
        packages = find_packages(imports)
        extras = [(name, folder) for name in _EXTRAS if (folder := _find_folder(name)) is not None]
        readable = find_readable([*packages, *(f"{folder}/{name}" for name, folder in extras)])
        return {
            "mode": self.kind,
            "root": str(root),
            "imports": list(imports),
            "packages": packages,
            "extras": extras,
            "readable": readable,
            "own_work": find_work(readable),
            "temporary": tempfile.gettempdir(),
            "file_mb": Limits().file_mb,
            "filter": self.filter.hex(),
            "host_user": _NOBODY if os.geteuid() == 0 else None,
        }


def candidates(demand: Demand, kind: Kind | None = None) -> list[Isolation]:
    """The kinds that are accepted, the best first."""
    kinds: list[Kind] = [kind] if kind is not None else ["namespaces", "landlock"]
    if kind is None and demand == "weak":
        kinds.append("weak")
    return [_look(each) for each in kinds]


def _look(kind: Kind) -> Isolation:
    result = Isolation(kind)
    try:
        # Without a process namespace a signal reaches every process of the same user, unless Landlock keeps it in.
        kept_in = kind == "namespaces" or (kind == "landlock" and kernel.landlock_version() >= kernel.SIGNALS_SINCE)
        result.filter = compile_filter(forks=kind != "landlock", signals=kept_in)
    except NoFilterError as error:
        result.no_filter = str(error)
        if kind != "weak":
            result.missing = str(error)
    if kind == "landlock" and kernel.landlock_version() == 0:
        result.missing = "the kernel has no Landlock"
    return result


def explain_refusal(refused: list[str]) -> str:
    """Why there is no sandbox, in one line."""
    tried = "; ".join(refused)
    return (
        f"this machine offers no sound isolation for untrusted programs ({tried}); allow user namespaces, or say "
        "`sandbox: {isolation: weak}` in the recipe to run them with limits alone, or name a SandboxFusion service with `url`"
    )


def describe(isolation: Isolation) -> list[tuple[str, str]]:
    """What is in force, for people."""
    namespaces, landlock = isolation.kind == "namespaces", kernel.landlock_version()
    filtered = "seccomp filter" if isolation.filter else f"no seccomp filter: {isolation.no_filter}"
    counted = "watched together" if isolation.hello.get("proc") else "per process"
    rows = {
        "isolation": {"namespaces": "namespaces", "landlock": "Landlock and seccomp", "weak": "WEAK: limits alone"}[
            isolation.kind
        ],
        "network": "none (network namespace)" if namespaces else "sockets refused (seccomp)" if isolation.filter else "NOT cut",
        "files": "a read-only Python and an empty folder in memory (mount namespace)"
        if namespaces
        else f"a read-only Python and an empty folder (Landlock ABI {landlock}); names of others can be guessed"
        if isolation.kind == "landlock"
        else "the host's, as this user",
        "processes": "its own alone (process namespace)"
        if namespaces
        else "may not be made"
        if isolation.kind == "landlock"
        else "the host's, as this user",
        "privileges": "none, not to be gained" + (" (user namespace)" if namespaces else ""),
        "system calls": filtered,
        "limits": f"CPU and memory {counted}, wall time, processes, file size, output",
    }
    return [*rows.items(), *(("not had", each) for each in isolation.refused)]


def python() -> str:
    """The interpreter that programs run in: the one a virtual environment was made from, which lies in one place."""
    return os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable)


def find_readable(packages: list[str]) -> list[str]:
    """The paths that make a Python and its libraries, none inside another."""
    prefix = os.path.realpath(sys.base_prefix)
    if prefix in ("/usr", "/usr/local", "/"):
        own = [sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), python()]
        own += [str(each) for each in Path(prefix, "lib").glob("libpython*")]
    else:
        own = [prefix]
    wanted = [path for path in (*_SYSTEM_LIBRARIES, *own, *packages) if os.path.lexists(path)]
    kept: list[str] = []
    for path in sorted(dict.fromkeys(wanted), key=len):
        if not any(path.startswith(f"{other}/") for other in kept if not Path(other).is_symlink()):
            kept.append(path)
    return kept


def find_work(readable: list[str]) -> str:
    """What programs' empty folder is called in their own file system: `/tmp`, unless a Python or a package lies there."""
    return next(each for each in _WORK if not any(path.startswith(f"{each}/") for path in readable))


def find_packages(imports: tuple[str, ...]) -> list[str]:
    """The folders on this Python's path in which the imports and what they need are found.

    Raises:
        SandboxError: one of them is not installed.
    """
    if not imports:
        return []
    folders = [path for path in sys.path if path and "site-packages" in path and Path(path).is_dir()]
    for name in imports:
        folder = _find_folder(name.partition(".")[0])
        if folder is None:
            raise SandboxError(f"there is no package {name} in {sys.executable}")
        folders.append(folder)
    return list(dict.fromkeys(folders))


def _find_folder(name: str) -> str | None:
    """The folder that a top-level module or package lies in."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None
    if spec is not None and spec.submodule_search_locations:
        return str(Path(next(iter(spec.submodule_search_locations))).parent)
    return str(Path(spec.origin).parent) if spec is not None and spec.origin and Path(spec.origin).is_file() else None
