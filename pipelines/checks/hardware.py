"""What the machine has: GPUs and the trainers' environments."""

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
    """The GPUs of this machine; whether they are enough is found where the recipe's other mistakes are."""
    names = list_gpus()
    if platform == "cpu":
        return Finding("machine", "GPUs", "not used: the platform is cpu" if names else "none: trained on the CPU")
    kinds = ", ".join(f"{names.count(name)} x {name}" for name in dict.fromkeys(names)) or "none"
    asked = f"{hardware.nodes} x {hardware.gpus_per_node}" if hardware.nodes > 1 else f"{hardware.gpus_per_node}"
    enough = len(names) >= hardware.gpus_per_node or hardware.nodes > 1
    return Finding("machine", "GPUs", f"{kinds}; the recipe asks for {asked}", "ok" if enough else "wrong")


def list_gpus() -> list[str]:
    """Each GPU's name and memory, as nvidia-smi tells; no more than `GPU` where only its device file is seen."""
    argv = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return ["GPU"] * len(list(Path("/dev").glob("nvidia[0-9]*")))
    return [line.replace(", ", " of ") for line in done.stdout.splitlines() if line.strip()]


def check_environments(environments: Mapping[str, Environment]) -> Iterator[Finding]:
    """Whether each trainer's environment is built, and what is in it."""
    for name, environment in environments.items():
        what, reason = f"environment of {name}", environment.why_not_ready()
        if not environment.pinned:
            said = reason or f"{environment.python}, chosen by {environment.chosen_by}"
            yield Finding("machine", what, said, "wrong" if reason else "ok")
        elif reason:
            said = f"{reason}; `pipeline run` builds it, and so does `{environment.sync_command}`"
            yield Finding("machine", what, said, "note")
        else:
            found = installed_versions(environment.directory)
            shown = [f"{key} {found[key]}" for key in (environment.pin.name, *environment.pin.shows) if key in found]
            yield Finding("machine", what, f"built for {environment.platform}: {', '.join(shown)}")
