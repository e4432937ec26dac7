"""Say in one line what ended a trainer: from its exit status and the end of its log."""

from __future__ import annotations

import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "gpu memory", "host memory", "disk", "not a number", "port", "node", "communication", "killed", "crash", "hang", "stuck",
    "refused", "error",
]  # fmt: skip
"""refused: this project or the trainer refuses to train; stuck: a process cannot be ended; error: any other exception."""

_LINES = 600
"""Lines at the end of the log that are read."""
_LONGEST = 240


@dataclass(frozen=True)
class Diagnosis:
    """What ended a trainer."""

    kind: Kind
    reason: str
    """One line."""


# The first kind that is found is the cause: a rank without memory lets the others fail in their communication. Texts of
# torch 2.11 and 2.13, vLLM 0.24 and 0.27, safetensors 0.7, and Ray 2.60 (exceptions.py, raylet and gcs_server).
_PATTERNS: tuple[tuple[Kind, str, str], ...] = (
    ("gpu memory", r"OutOfMemoryError: (?:CUDA|HIP)|CUDA out of memory|CUDA error: out of memory", "a GPU ran out of memory"),
    ("gpu memory", r"CUBLAS_STATUS_ALLOC_FAILED|No available memory for the cache blocks", "a GPU ran out of memory"),
    ("gpu memory", r"Free memory on device .* is less than desired", "a GPU has too little free memory"),
    (
        "host memory",
        r"killed due to the node running low on memory|ray\.exceptions\.OutOfMemoryError"
        r"|DefaultCPUAllocator: (?:can't|not enough)|Cannot allocate memory|(?:^|\s)MemoryError\b|oom[-_]kill",
        "the machine ran out of memory",
    ),
    (
        "disk",
        r"No space left on device|\[Errno 28\]|code: 28\b|StorageFull|Disk quota exceeded|ray\.exceptions\.OutOfDiskError"
        r"|PytorchStreamWriter failed|inline_container\.cc.*file write failed",
        "the disk is full",
    ),
    (
        "not a number",
        r"probability tensor contains either `?inf|contains NaN"
        r"|(?:loss|gradients?|logits)\b.*\b(?:is|are|became) (?:nan|not a number)|Function '\w+' returned nan values",
        "a value is not a number",
    ),
    ("port", r"EADDRINUSE|[Aa]ddress already in use|The server socket has failed to listen", "a port is in use"),
    (
        "node",
        r"its node has died|NodeDiedError|node died|marked dead because the detector|missed too many heartbeats"
        r"|LocalRayletDiedError|LOCAL_RAYLET_DIED|local raylet died|Failed to connect to GCS|[Rr]aylet is terminated"
        r"|raylet (?:exited|died|crashed)|NODE_DIED|ActorUnavailableError|ray_client.*disconnected",
        "a node or its Ray process was lost",
    ),
    ("node", r"The current node timed out during startup", "Ray did not start in time, as happens on a busy machine"),
    (
        "killed",
        r"Signal 9 \(SIGKILL\)|exitcode *: -9|Signal 15 \(SIGTERM\)|exitcode *: -15"
        r"|The actor died unexpectedly|Worker unexpectedly exits|WorkerCrashedError|EngineDeadError|EngineCore.*died"
        r"|DataLoader worker .* is killed by signal|worker process .* died unexpectedly",
        "one of its processes was killed",
    ),
    (
        "crash",
        r"Signal (?:4|6|7|8|11) \(|SIGSEGV|Segmentation fault|Fatal Python error|CUDA error: an illegal memory access"
        r"|uncorrectable ECC|Xid\b|CUDA error: unspecified launch failure",
        "one of its processes crashed",
    ),
    (
        "communication",
        r"NCCL (?:error|WARN)|ncclSystemError|ncclRemoteError|ncclInternalError|ncclUnhandledCudaError|DistBackendError"
        r"|Watchdog caught collective operation timeout|ProcessGroupNCCL.*(?:timeout|abort)"
        r"|gloo.*(?:[Cc]onnection (?:closed|refused|reset)|[Tt]imed out)|connectFullMesh|torch\.distributed\.DistNetworkError",
        "the communication between processes failed",
    ),
)
_COMPILED = tuple((kind, re.compile(pattern), meaning) for kind, pattern, meaning in _PATTERNS)

_CONSEQUENCES = ("port", "node", "communication", "killed", "crash")

# Why this project aborts a training.
_REFUSED = re.compile(r"(?:^|[\s.])(?:RewardError|NothingToLearnError): \S")


def diagnose(status: int | None, ended: str, lines: Sequence[str], *, is_full: bool = False, oom_kills: int = 0) -> Diagnosis:
    """Return what ended a trainer.

    Args:
        status: its exit status, negative for a signal.
        ended: how it ended and the last error of its log, on one line.
        lines: the log of this attempt.
        is_full: whether the disk of the run directory has no room left, so that the log may lack the reason.
        oom_kills: how many processes the kernel has killed during this attempt because memory ran out.
    """
    found = _diagnose(status, ended, lines, is_full=is_full)
    if found.kind == "killed" and oom_kills:
        return Diagnosis("host memory", f"the machine ran out of memory, and the kernel killed processes: {found.reason}")
    return found


def _diagnose(status: int | None, ended: str, lines: Sequence[str], *, is_full: bool) -> Diagnosis:
    end = lines[-_LINES:]
    if any(_REFUSED.search(line) for line in lines):
        return Diagnosis("refused", ended)
    for kind, pattern, meaning in _COMPILED:
        if status is not None and status < 0 and kind in _CONSEQUENCES:
            continue  # of the command's own end by a signal
        if (line := next((line for line in end if pattern.search(line)), None)) is not None:
            return Diagnosis(kind, f"{meaning}{_name_actor(kind, end)}: {clean(line)}")
    if is_full:
        return Diagnosis("disk", f"the disk is full: {ended}")
    if status is not None and status < 0:
        kind = "killed" if -status in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP) else "crash"
        return Diagnosis(kind, ended)
    return Diagnosis("error", ended)


def _name_actor(kind: Kind, lines: Sequence[str]) -> str:
    """Return the actor that Ray lost, in brackets: ` (WorkerDict)`."""
    if kind not in ("killed", "node"):
        return ""
    names = [found[1] for line in lines if (found := re.match(r"\s*class_name: (?:\S*\.)?(\w+)", line))]
    return f" ({names[-1]})" if names else ""


def clean(line: str) -> str:
    """Return a line of a log without the prefixes of Ray and of processes, and without Ray's advice."""
    line = re.sub(r"^\s*(?:\(\w[^)]*\)\s*)?(?:\[rank\d+\]:?\s*)?", "", line).strip()
    line = re.split(r"\.? (?:To troubleshoot|Some common causes|Check |If the process was|This c(?:an|ould) happen)", line)[0]
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def same_message(one: str, other: str) -> bool:
    """Return whether two reasons are the same but for numbers and addresses, which differ between attempts."""
    return _without_numbers(one) == _without_numbers(other)


def _without_numbers(text: str) -> str:
    return re.sub(r"0x[0-9a-fA-F]+|\b[0-9a-f]{16,}\b|\d+(?:\.\d+)?", "#", text)
