"""Check the GPUs and the trainers' environments of this machine."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from pipelines.checks.findings import Finding
from pipelines.environments import Environment
from pipelines.environments.listing import installed_versions
from pipelines.recipe.schema import Hardware
from pipelines.trainers.base import Platform

_SECONDS = 10.0


def check_gpus(hardware: Hardware, platform: Platform) -> Finding:
    """Compare the GPUs of this machine with those that the recipe needs."""
    names = list_gpus()
    if platform == "cpu":
        return Finding("machine", "GPUs", "not used: the platform is cpu" if names else "none: trains on the CPU")
    found = ", ".join(f"{names.count(name)} x {name}" for name in dict.fromkeys(names)) or "none"
    needed = f"{hardware.nodes} x {hardware.gpus_per_node}" if hardware.nodes > 1 else f"{hardware.gpus_per_node}"
    enough = len(names) >= hardware.gpus_per_node or hardware.nodes > 1
    return Finding("machine", "GPUs", f"{found}; the recipe needs {needed}", "ok" if enough else "wrong")


def list_gpus() -> list[str]:
    """Return each GPU's name and memory from nvidia-smi; only `GPU` if it has a device file but nvidia-smi fails."""
    argv = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return ["GPU"] * len(list(Path("/dev").glob("nvidia[0-9]*")))
    return [line.replace(", ", " of ") for line in done.stdout.splitlines() if line.strip()]


def check_environments(environments: Mapping[str, Environment]) -> Iterator[Finding]:
    """Check whether each trainer's environment is built; list its main packages."""
    for name, environment in environments.items():
        what, reason = f"environment of {name}", environment.why_not_ready()
        if not environment.pinned:
            result = reason or f"{environment.python}, chosen by {environment.chosen_by}"
            yield Finding("machine", what, result, "wrong" if reason else "ok")
        elif reason:
            result = f"{reason}; `pipeline run` builds it, as does `{environment.sync_command}`"
            yield Finding("machine", what, result, "note")
        else:
            found = installed_versions(environment.directory)
            shown = [f"{key} {found[key]}" for key in (environment.pin.name, *environment.pin.shows) if key in found]
            yield Finding("machine", what, f"built for {environment.platform}: {', '.join(shown)}")
