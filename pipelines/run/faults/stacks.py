"""The stacks of a stuck trainer, by py-spy where it is installed: verl's environment has it, as a dependency of Ray."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

_SECONDS = 20.0
"""For one process; py-spy stops it while it reads."""

_MOST = 64
"""Processes that are read."""

# The first that is found in any stack is where the others wait.
_PLACES = (
    ("weight sync", r"bucketed_weight_transfer|update_weights|sync_rollout_weights|receive_weights|load_weights"),
    ("a reward", r"\(rewards/|compute_score"),
    ("a collective operation", r"torch/distributed/|_functional_collectives"),
    ("saving a checkpoint", r"save_checkpoint|_save_checkpoint|torch/serialization\.py"),
    # verl's trainer waits for finished responses.
    ("generation", r"generate_sequences|ReplayBuffer\.(?:sample|_wait)|vllm/v1/engine/core\.py.*step"),
    ("loading data", r"torch/utils/data/dataloader\.py"),
)
_FRAME = re.compile(r"^\s+(?P<function>\S.*?) \((?P<file>[^()]*?):(?P<line>\d+)\)$")
_PLUMBING = re.compile(r"^ray/|(?:^|/)(?:threading|selectors|queue|socket|subprocess|(?:multiprocessing|concurrent)/.*)\.py$")


def find_py_spy(folders: Iterable[Path]) -> str | None:
    """Return py-spy in one of the folders, else on PATH; None if it is missing."""
    return next((str(each / "py-spy") for each in folders if (each / "py-spy").is_file()), None) or shutil.which("py-spy")


def write_stacks(py_spy: str, supervisor: int, target: Path) -> str:
    """Write the stacks of all Python processes below the supervisor; return where they wait, for a line to the user.

    Returns:
        Empty if no stack can be read.
    """
    import psutil

    found: list[tuple[int, str]] = []
    with suppress(psutil.NoSuchProcess):
        for process in psutil.Process(supervisor).children(recursive=True)[:_MOST]:
            with suppress(psutil.Error):
                # Ray renames its processes, so their command lines do not name Python.
                if "python" in Path(process.exe()).name:
                    found.append((process.pid, f"{process.name()}, state {process.status()}"))
    with ThreadPoolExecutor(8) as pool:
        dumps = list(pool.map(lambda each: _dump(py_spy, each[0]), found))
    parts = [f"=== {pid}: {name}\n{dump}\n" for (pid, name), dump in zip(found, dumps, strict=True)]
    with suppress(OSError):
        target.write_text("\n".join(parts), encoding="utf-8")
    halted = [name.partition(",")[0] for _, name in found if name.endswith(("state stopped", "state disk-sleep"))]
    place = summarise(dumps)
    return f"{place}; {halted[0]} does not run" if place and halted else place


def _dump(py_spy: str, pid: int) -> str:
    try:
        argv = [py_spy, "dump", "--pid", str(pid)]
        done = subprocess.run(argv, capture_output=True, encoding="utf-8", timeout=_SECONDS, check=False, errors="replace")
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"py-spy: {error}"
    return done.stdout if done.returncode == 0 else f"py-spy: {done.stderr.strip()}"


def summarise(dumps: Sequence[str]) -> str:
    """Return where the processes wait: `in weight sync (send_weights, bucketed_weight_transfer.py:120)`; empty: unknown."""
    for place, pattern in _PLACES:
        frames = [frame for dump in dumps for frame in _frames(dump) if re.search(pattern, " ".join(frame))]
        if frames:
            return f"in {place} ({_show(frames[0])})"
    # The first process is the command itself.
    for dump in dumps:
        main = dump[max(0, dump.find('"MainThread"')) :].partition("\n\nThread ")[0]
        if frames := [frame for frame in _frames(main) if not _PLUMBING.search(frame[1])]:
            return f"in {_show(frames[0])}"
    return ""


def _frames(dump: str) -> list[tuple[str, str, str]]:
    found = (_FRAME.match(line) for line in dump.splitlines())
    return [(each["function"], each["file"], each["line"]) for each in found if each]


def _show(frame: tuple[str, str, str]) -> str:
    function, file, line = frame
    return f"{function}, {Path(file).name}:{line}"
