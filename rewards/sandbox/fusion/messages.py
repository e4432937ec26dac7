"""SandboxFusion's messages: a program and its limits as a request, an answer as an execution. Nothing is sent here."""

from __future__ import annotations

import base64
import json
import math
import signal
from collections.abc import Mapping
from typing import Any

from rewards.sandbox.base import SandboxError
from rewards.sandbox.program import Execution, Limits, Program, Verdict
from rewards.sandbox.runner_sources import read_runner

SERVICE_OUTPUT_BYTES = 1 << 20
"""The service keeps this much of each stream and drops the rest without a word."""

_TOO_LITTLE_TO_TELL = "MemoryError()\nlost sys.stderr"
"""What Python 3.13 ends with where memory does not reach for a traceback."""
_LAUNCH = "rewards.sandbox.fusion.sent.launch"


class ServiceFault(Exception):  # noqa: N818
    """The service could not run the program, and says that it is not the program's fault; worth another try."""


def write_request(program: Program, limits: Limits, *, fetch: tuple[str, ...] = ()) -> dict[str, Any]:
    """The body of POST /run_code.

    The program travels as a file; the code that the service runs is `sent/launch.py`, which becomes it.

    Args:
        program: what to run.
        limits: within which limits.
        fetch: files of the service's folder, one above the program's own, that the answer is to bring back.

    Raises:
        SandboxError: the program's runner does not exist.
    """
    files = {"main.py": program.code}
    if program.runner is not None:
        # A literal of ASCII only: data, whatever the code holds.
        files = {"main.py": f"from {program.runner} import main\n\nmain({program.code!a})\n"}
        files |= _lay_out(read_runner(program.runner))
    task = json.dumps(
        {
            "RLIMIT_CPU": math.ceil(limits.cpu_seconds),
            "RLIMIT_AS": limits.memory_mb << 20,
            "RLIMIT_FSIZE": limits.file_mb << 20,
            # Every thread of the program takes as much of its address space; the service would set all of it.
            "RLIMIT_STACK": 16 << 20,
            "RLIMIT_CORE": 0,
        }
    )
    return {
        "language": "python",
        "code": f"{read_runner(_LAUNCH)[_LAUNCH]}\nmain({task!r})\n",
        "files": {name: base64.b64encode(_encode(text)).decode() for name, text in files.items()},
        "fetch_files": list(fetch),
        "stdin": _encode(program.stdin).decode(),
        "run_timeout": limits.wall_seconds,
        "memory_limit_MB": limits.memory_mb,
    }


def read_execution(answer: Mapping[str, Any], limits: Limits) -> Execution:
    """What an answer of /run_code says of the program.

    Raises:
        ServiceFault: it says that the service failed.
        SandboxError: it is not an answer of SandboxFusion.
    """
    if answer.get("status") == "SandboxError":
        raise ServiceFault(f"failed itself: {_last_line(str(answer.get('message') or 'no reason given'))}")
    result = answer.get("run_result")
    if not isinstance(result, dict) or result.get("status") not in ("Finished", "TimeLimitExceeded"):
        raise SandboxError(
            f"its answer has no `run_result` that is Finished or TimeLimitExceeded: {_last_line(json.dumps(answer))}"
        )
    code = result.get("return_code")
    if result["status"] == "Finished" and not isinstance(code, int):
        raise SandboxError("its answer has no `return_code`")
    output, longer = _cut(result.get("stdout"), limits.output_bytes)
    error, also_longer = _cut(result.get("stderr"), limits.output_bytes)
    status = None if result["status"] == "TimeLimitExceeded" else _unshell(code)
    seconds = float(result.get("execution_time") or 0.0)
    verdict: Verdict = "output" if longer or also_longer else _judge(status, error, seconds, limits)
    return Execution(verdict, output, error, None if verdict in ("output", "timeout") else status, seconds)


def read_file(answer: Mapping[str, Any], name: str) -> str | None:
    """A file that was fetched; None where the program left none."""
    content = (answer.get("files") or {}).get(name)
    try:
        return None if content is None else base64.b64decode(content).decode("utf-8", errors="replace")
    except (TypeError, ValueError):
        return None


def _lay_out(sources: Mapping[str, str]) -> dict[str, str]:
    """Modules by their dotted names as files."""
    packages = {name.rpartition(".")[0] for name in sources}
    return {f"{name.replace('.', '/')}{'/__init__' * (name in packages)}.py": text for name, text in sources.items()}


def _judge(status: int | None, error: str, seconds: float, limits: Limits) -> Verdict:
    # The kernel signals a process at its limit of CPU time, and kills one that ignores that.
    if status is None or (status in (-signal.SIGXCPU, -signal.SIGKILL) and seconds >= limits.cpu_seconds):
        return "timeout"
    if status == 0:
        return "ok"
    told = error.rstrip()
    if told.rpartition("\n")[2].startswith("MemoryError") or told.endswith(_TOO_LITTLE_TO_TELL):
        return "memory"
    return "killed" if status < 0 else "error"


def _unshell(code: Any) -> int:
    """A shell between the service and the program turns signal N into status 128 + N; so does `sys.exit(128 + N)`."""
    status = int(code)
    known = status > 128 and status - 128 in signal.valid_signals()
    return 128 - status if known else status


def _cut(text: Any, limit: int) -> tuple[str, bool]:
    data = _encode(str(text or ""))
    longer = len(data) > limit or len(data) >= SERVICE_OUTPUT_BYTES
    return data[:limit].decode("utf-8", errors="ignore"), longer


def _encode(text: str) -> bytes:
    return text.encode("utf-8", errors="backslashreplace")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = lines[-1] if lines else ""
    return line if len(line) <= 200 else f"…{line[-200:]}"
