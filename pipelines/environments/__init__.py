"""One virtual environment per trainer and platform, built from the pins and locks in `third_party/`.

For other rooms: `environment`, `Environment` and `TRAINERS` (choosing one starts no process), `sync` (build), `find_ready`
and `find_with_ray` (ready), `ask` (ask), `detected_platform` (platform), `PLATFORMS` (pins), `installed_versions`,
`size_on_disk` and `format_bytes` (listing).
"""

from pipelines.environments.choice import Environment, environment
from pipelines.environments.pins import TRAINERS, TrainerName
from pipelines.environments.sync import sync

__all__ = ["TRAINERS", "Environment", "TrainerName", "environment", "sync"]
