"""The NVIDIA GPUs of this machine that a run may use: those that CUDA_VISIBLE_DEVICES leaves."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.environments.ask import AskError, call

VARIABLE = "CUDA_VISIBLE_DEVICES"

_SECONDS = 10.0


@dataclass(frozen=True)
class Gpu:
    """A GPU."""

    uuid: str
    """Empty: unknown."""
    name: str
    """Its name and memory, as far as they are known."""


def list_gpus(devices: Path = Path("/dev")) -> list[Gpu]:
    """Return the visible GPUs as nvidia-smi names them; if it fails, one called `GPU` for each device file."""
    try:
        found = call("nvidia-smi", ["--query-gpu=uuid,name,memory.total", "--format=csv,noheader"], timeout=_SECONDS)
    except AskError:
        return visible([Gpu("", "GPU")] * _count_files(devices), os.environ.get(VARIABLE))
    lines = (line.split(", ", 1) for line in found.splitlines() if ", " in line)
    return visible([Gpu(uuid, name.replace(", ", " of ")) for uuid, name in lines], os.environ.get(VARIABLE))


def count_gpus(devices: Path = Path("/dev")) -> int:
    """Return the number of visible GPUs. Looks for device files, starts no process."""
    return len(visible([Gpu("", "GPU")] * _count_files(devices), os.environ.get(VARIABLE)))


def describe_hidden(devices: Path = Path("/dev")) -> str:
    """Return ` (CUDA_VISIBLE_DEVICES=0 leaves 1 of 8)`; empty if it hides none."""
    given, present, left = os.environ.get(VARIABLE), _count_files(devices), count_gpus(devices)
    return f" ({VARIABLE}={given} leaves {left} of {present})" if left < present else ""


def visible(present: Sequence[Gpu], variable: str | None) -> list[Gpu]:
    """Return the GPUs that the variable leaves, in its order.

    As the driver reads it: numbers or the beginnings of UUIDs; the first that is unknown ends the list, so that `-1`, an
    empty text and Slurm's `NoDevFiles` leave none.
    """
    if variable is None:
        return list(present)
    found: list[Gpu] = []
    for entry in (each.strip() for each in variable.split(",")):
        gpu = _find(present, entry)
        if gpu is None:
            break
        found.append(gpu)
    return found


def _find(present: Sequence[Gpu], entry: str) -> Gpu | None:
    if entry.isdigit():
        return present[int(entry)] if int(entry) < len(present) else None
    if entry.startswith("MIG-"):
        return Gpu(entry, "a part of a GPU (MIG)") if present else None
    if not entry.startswith("GPU-"):
        return None
    known = [gpu for gpu in present if gpu.uuid]
    # Without nvidia-smi the UUIDs are unknown.
    return next((gpu for gpu in known if gpu.uuid.startswith(entry)), None if known or not present else Gpu(entry, "GPU"))


def _count_files(devices: Path) -> int:
    return len(list(devices.glob("nvidia[0-9]*")))
