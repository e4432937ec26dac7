"""What one node of a cluster has: versions, shared files, GPUs, sandbox, disk.

Standard library only, Python 3.9 or newer: the source is sent to each node, whose Python may lack this project.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.metadata
import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

PACKAGES = ("pipelines", "preprocess", "rewards")
"""This project's packages."""


def probe(request: dict[str, Any]) -> dict[str, Any]:
    """Return what this node has.

    Args:
        request: `token` (a file that the caller wrote into the folder that must be shared, or None), its `text`, `reply` (the
            file to write next to it), `paths` (which must exist here), `sandbox` (whether to run programs in it).
    """
    return {
        "python": ".".join(map(str, sys.version_info[:3])),
        "executable": sys.executable,
        "packages": find_versions(),
        "project": digest_project(),
        "shared": why_not_shared(request),
        "missing": [path for path in request["paths"] if not Path(path).exists()],
        "gpus": find_gpus(),
        "libseccomp": has_libseccomp(),
        "sandbox": why_unsafe() if request["sandbox"] else "",
        "full": [text for place in ("/tmp", "/dev/shm") if (text := why_full(place))],
    }


def find_versions() -> dict[str, str]:
    """Return distribution -> version; of several in the path, the first, as an import takes it."""
    found: dict[str, str] = {}
    for each in importlib.metadata.distributions():
        name = each.metadata["Name"]
        if name:
            found.setdefault(name.lower().replace("_", "-").replace(".", "-"), each.version)
    return found


def digest_project() -> str:
    """Return a digest of this project's code; empty if it cannot be imported."""
    digest = hashlib.sha256()
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            return ""
        folder = Path(spec.origin).parent
        for file in sorted(folder.rglob("*.py")):
            digest.update(f"{file.relative_to(folder.parent)}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def why_not_shared(request: dict[str, Any]) -> str:
    """Return why what is written here and at the caller's is not the same folder; empty if it is, as far as seen from here."""
    if request["token"] is None:
        return ""
    folder = Path(request["token"]).parent
    try:
        if Path(request["token"]).read_text(encoding="utf-8") != request["text"]:
            return f"a file that this machine wrote into {folder} has another content there"
    except FileNotFoundError:
        return f"a file that this machine wrote into {folder} is missing there"
    except OSError as error:
        return f"{folder} cannot be read there: {error.strerror}"
    try:
        Path(request["reply"]).write_text(request["text"], encoding="utf-8")
    except OSError as error:
        return f"{folder} cannot be written there: {error.strerror}"
    return ""


def find_gpus() -> list[str]:
    """Return each GPU's name, memory and driver; an empty list without GPUs or nvidia-smi."""
    command = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        found = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in found.splitlines() if line.strip()]


def has_libseccomp() -> bool:
    """Return whether the sandbox's filters can be compiled."""
    try:
        ctypes.CDLL("libseccomp.so.2")
    except OSError:
        return False
    return True


def why_unsafe() -> str:
    """Run programs in the sandbox; return why it isolates none."""
    command = [sys.executable, "-m", "rewards.sandbox.local.examine"]
    try:
        done = subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120, check=False)
        return str(json.loads(done.stdout.splitlines()[-1])["problem"])
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    except (IndexError, KeyError, ValueError):
        return (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]


def why_full(place: str) -> str:
    """Return that a folder is almost full; Ray stores no objects on a disk that is used by more than 95 %."""
    try:
        usage = shutil.disk_usage(place)
    except OSError:
        return ""
    return "" if usage.free > 0.05 * usage.total else f"{place}: {usage.free / 1e9:.1f} of {usage.total / 1e9:.0f} GB free"
