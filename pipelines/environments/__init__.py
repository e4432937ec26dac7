"""One virtual environment per trainer and platform, built from the pins and locks in `third_party/`.

For other rooms: the names below, `ask` and `call` (ask), `PLATFORMS` (pins), and `installed_versions`
(listing). Choosing an environment starts no process; `sync` builds it.
"""

from pipelines.environments.choice import Environment, detected_platform, environment, find_ready, find_with_ray
from pipelines.environments.pins import TRAINERS, TrainerName
from pipelines.environments.sync import sync

__all__ = ["TRAINERS", "Environment", "TrainerName", "detected_platform", "environment", "find_ready", "find_with_ray", "sync"]
