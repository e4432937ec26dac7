"""One virtual environment per trainer and platform, built from the pins and locks in `third_party/`.

For other rooms: the names below, `ask` and `call` (ask), `PLATFORMS` (pins), `list_gpus` and `count_gpus` (gpus), and
`installed_versions` (listing). Choosing an environment starts no process; `sync` builds it, `Builds` several side by side
(both in builds).
"""

from pipelines.environments.choice import (
    Environment,
    detected_platform,
    environment,
    find_ready,
    find_with_ray,
    pinned_environment,
)
from pipelines.environments.pins import TRAINERS, TrainerName

__all__ = [
    "TRAINERS",
    "Environment",
    "TrainerName",
    "detected_platform",
    "environment",
    "find_ready",
    "find_with_ray",
    "pinned_environment",
]
