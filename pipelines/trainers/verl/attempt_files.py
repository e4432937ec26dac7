"""Per-attempt names for files and shared memory: attempts do not overwrite each other, and orphans can be found."""

from __future__ import annotations

import hashlib
import os
import re
import time
from pathlib import Path

METRICS_FOLDER = "PIPELINE_METRICS_FOLDER"
"""Variable: the folder that gets one JSON-lines file of metrics per attempt."""

VALIDATIONS = "validations"
"""The folder next to it that gets one file per validation of RL."""

KEEP_BEST = "PIPELINE_KEEP_BEST"
"""Variable: set if the checkpoint with the lowest validation loss is the stage's result."""

SHARED_MEMORY_PREFIX = "PIPELINE_SHM_PREFIX"
"""Variable: the prefix of the names of the run's shared-memory segments."""

RUN_DIRECTORY = "PIPELINE_RUN"
"""Variable: the run directory, in every process of a run. It identifies orphaned processes."""

NODES = "PIPELINE_NODES"
"""Variable: the number of machines of a training on several."""


def run_prefix(run_directory: Path) -> str:
    """Return the name of a run's temporary files outside its directory.

    It is short because Python limits the name of a shared-memory segment to 14 characters, random ones included
    (multiprocessing/shared_memory.py `_make_filename`), and the path of a Unix socket to 107, of which Ray uses about 70.
    """
    return "pl" + hashlib.sha256(str(run_directory).encode()).hexdigest()[:6]


def is_in_scratch(path: str) -> bool:
    """Return whether a path is in the scratch folder of some run."""
    return re.search(r"/pl[0-9a-f]{6}/", path) is not None


def name_metrics_file() -> None:
    """Give verl's `file` logger a new file for this attempt: it truncates what it opens (utils/tracking.py FileLogger)."""
    folder = os.environ.get(METRICS_FOLDER)
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        os.environ["VERL_FILE_LOGGER_PATH"] = str(Path(folder) / f"{time.time_ns()}-{os.getpid()}.jsonl")


def name_shared_memory() -> None:
    """Prefix the names that Python generates in /dev/shm with the run's prefix.

    vLLM's message queues and locks (distributed/device_communicators/shm_broadcast.py, 0.27) stay in /dev/shm when their
    processes are killed, which verl does at every exit. Under the usual names `psm_` and `sem.mp-` their owner is unknown.
    vLLM's engine process does not import verl, so vLLM's own `vllm.general_plugins` entry point calls this.
    """
    prefix = os.environ.get(SHARED_MEMORY_PREFIX)
    if prefix:
        from multiprocessing import current_process, shared_memory

        shared_memory._SHM_NAME_PREFIX = f"/{prefix}"  # type: ignore[attr-defined]
        current_process()._config["semprefix"] = f"/{prefix}"  # type: ignore[attr-defined]
