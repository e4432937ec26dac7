"""What this machine has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.trainers.base import Platform


def detected_platform(devices: Path = Path("/dev")) -> Platform:
    """`cuda` where an NVIDIA GPU is seen, else `cpu`. Looks for device files; starts nothing."""
    # nvidia0 natively and in containers; dxg is how WSL shows the GPU.
    return "cuda" if any(devices.glob("nvidia[0-9]*")) or (devices / "dxg").exists() else "cpu"
