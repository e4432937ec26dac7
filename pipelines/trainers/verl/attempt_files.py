"""Names that one attempt gives to what it leaves on disk, so that attempts do not overwrite and leftovers have an owner."""

from __future__ import annotations

import os
import time
from pathlib import Path

from pipelines.run.scratch import SHARED_MEMORY_PREFIX

METRICS_FOLDER = "PIPELINE_METRICS_FOLDER"
"""The variable with the folder that gets one JSON-lines file of metrics per attempt."""

KEEP_BEST = "PIPELINE_KEEP_BEST"
"""The variable that is set where the checkpoint with the least validation loss is to be handed on."""


def name_metrics_file() -> None:
    """Gives verl's `file` logger a file of this attempt: it truncates what it opens (utils/tracking.py FileLogger)."""
    folder = os.environ.get(METRICS_FOLDER)
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        os.environ["VERL_FILE_LOGGER_PATH"] = str(Path(folder) / f"{time.time_ns()}-{os.getpid()}.jsonl")


def name_shared_memory() -> None:
    """Puts the run's prefix before the names that Python makes up in /dev/shm.

    vLLM's message queues and locks (distributed/device_communicators/shm_broadcast.py, 0.27) stay there when their
    processes are killed, which verl does at every end; under the usual `psm_` and `sem.mp-` nobody can tell whose they
    are. vLLM's engine process knows nothing of verl: it is reached through vLLM's own `vllm.general_plugins` entry point.
    """
    prefix = os.environ.get(SHARED_MEMORY_PREFIX)
    if prefix:
        from multiprocessing import current_process, shared_memory

        shared_memory._SHM_NAME_PREFIX = f"/{prefix}"  # type: ignore[attr-defined]
        current_process()._config["semprefix"] = f"/{prefix}"  # type: ignore[attr-defined]
