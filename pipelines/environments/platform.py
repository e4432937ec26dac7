"""The platform of this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.trainers.base import Platform


def detected_platform(devices: Path = Path("/dev")) -> Platform:
    """Return `cuda` if this machine has an NVIDIA GPU, else `cpu`. Looks for device files, starts no process."""
    # nvidia0 natively and in containers; dxg under WSL.
    return "cuda" if any(devices.glob("nvidia[0-9]*")) or (devices / "dxg").exists() else "cpu"
