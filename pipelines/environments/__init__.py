"""One virtual environment per trainer and platform, built from the pins and locks of `third_party/`.

Choosing an environment and telling whether it is built is instant and starts nothing; `sync` builds.
"""

from pipelines.environments.choice import Environment, environment
from pipelines.environments.pins import TRAINERS, TrainerName
from pipelines.environments.sync import sync

__all__ = ["TRAINERS", "Environment", "TrainerName", "environment", "sync"]
