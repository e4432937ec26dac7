"""`pipeline --version`."""

from __future__ import annotations

import sys


def print_version() -> None:
    """Print the versions of this project and Python, and a line per trainer."""
    from pipelines.environments import TRAINERS, detected_platform, environment
    from pipelines.errors import InputError
    from pipelines.records.manifest import project_version

    print(f"pipeline {project_version()}, Python {sys.version.split()[0]}")
    for trainer in TRAINERS:
        try:
            found = environment(trainer, detected_platform())
        except InputError as error:
            print(f"{trainer}: {error}")
            continue
        if not found.pinned:
            state = found.why_not_ready() or f"{found.python}, chosen by {found.chosen_by}"
        elif reason := found.why_not_ready():
            state = f"{reason}; `pipeline run` builds it"
        else:
            state = f"built for {found.platform}"
        print(f"{found.pin.name} {found.pin.version}: {state}")
