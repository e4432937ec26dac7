"""SandboxFusion's messages: convert a program and its limits to a request, and an answer to an execution."""

from __future__ import annotations

import base64
import contextlib
import json
import math
import signal
from collections.abc import Mapping
from typing import Any

from rewards.sandbox.base import SandboxError
from rewards.sandbox.program import Execution, Limits, Program, Verdict
from rewards.sandbox.runner_sources import read_runner

STREAMS = ("stdout", "stderr")
"""Streams of the program, and the files to fetch with what `sent/launch.py` did not pass on to the service."""
_SERVICE_OUTPUT_BYTES = 1 << 20
"""The service keeps at most this much of what it gets directly."""
_DONE = '{"value": '
_DECODER = json.JSONDecoder()
_NO_MEMORY_FOR_TRACEBACK = "MemoryError()\nlost sys.stderr"
"""The end of Python 3.13's output if there is not enough memory for a traceback."""
_LAUNCH = "rewards.sandbox.fusion.sent.launch"


class ServiceFault(Exception):  # noqa: N818
    """The service could not run the program, for reasons that are not the program's fault. Worth a retry."""


class NoAnswerFault(ServiceFault):
    """The service could not be reached, or the connection ended before an answer."""


class OverlongAnswerError(Exception):
    """The service's answer is longer than the program's limits allow, because the program wrote files that are returned."""


def write_request(program: Program, limits: Limits, *, fetch: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the body of POST /run_code.

    The program is sent as a file. The code that the service runs is `sent/launch.py`, which executes that file. `fetch` names
    files to return, by path relative to the service's folder, which is the parent of the program's.

    Raises:
        SandboxError: the program's runner does not exist.
    """
    files = {"main.py": program.code}
    if program.runner is not None:
        # An ASCII literal, so the code stays data whatever it contains.
        files = {"main.py": f"from {program.runner} import main\n\nmain({program.code!a})\n"}
        sources = read_runner(program.runner)
        packages = {name.rpartition(".")[0] for name in sources}
        for name, text in sources.items():
            files[f"{name.replace('.', '/')}{'/__init__' * (name in packages)}.py"] = text
    rlimits = {
        "RLIMIT_CPU": math.ceil(limits.cpu_seconds),
        "RLIMIT_AS": limits.memory_mb << 20,
        "RLIMIT_FSIZE": limits.file_mb << 20,
        # Every thread reserves this much of the address space; by default the service sets it to all of it.
        "RLIMIT_STACK": 16 << 20,
        "RLIMIT_CORE": 0,
    }
    task = json.dumps({"limits": rlimits, "output_bytes": limits.output_bytes})
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
    """Convert an answer of /run_code.

    Raises:
        ServiceFault: it reports that the service failed.
        SandboxError: it is not an answer of SandboxFusion.
    """
    if answer.get("status") == "SandboxError":
        raise ServiceFault(f"service error: {_last_line(str(answer.get('message') or 'no reason given'))}")
    result = answer.get("run_result")
    if not isinstance(result, dict) or result.get("status") not in ("Finished", "TimeLimitExceeded"):
        found = _last_line(json.dumps(answer))
        raise SandboxError(f"the answer has no `run_result` with status Finished or TimeLimitExceeded: {found}")
    code, status = result.get("return_code"), None
    if result["status"] == "Finished":
        if not isinstance(code, int):
            raise SandboxError("the answer has no `return_code`")
        # A shell between the service and the program turns signal N into status 128 + N; so does `sys.exit(128 + N)`.
        status = 128 - code if code > 128 and code - 128 in signal.valid_signals() else code
    output, is_cut = _read_output(answer, result, limits.output_bytes)
    error = _read_error(answer, result, limits.output_bytes)
    seconds = float(result.get("execution_time") or 0.0)
    verdict: Verdict = "output" if is_cut else _judge(status, error, seconds, limits)
    return Execution(verdict, output, error, None if verdict in ("output", "timeout") else status, seconds)


def read_value(answer: Mapping[str, Any]) -> tuple[bool, str | None]:
    """Return whether a session's call ended by itself, and its value, from the fetched file `done`.

    The program may have written anything to the file, so nothing but a text is parsed.
    """
    try:
        text = base64.b64decode(answer["files"]["done"]).decode()
        value = _DECODER.raw_decode(text, len(_DONE))[0] if text.startswith(f'{_DONE}"') else None
    except (LookupError, TypeError, ValueError):
        return False, None
    return text.startswith(_DONE), value


def _judge(status: int | None, error: str, seconds: float, limits: Limits) -> Verdict:
    # At the CPU limit the kernel signals a process, and then kills it if it ignores the signal.
    if status is None or (status in (-signal.SIGXCPU, -signal.SIGKILL) and seconds >= limits.cpu_seconds):
        return "timeout"
    if status == 0:
        return "ok"
    end = error.rstrip()
    if end.rpartition("\n")[2].startswith("MemoryError") or end.endswith(_NO_MEMORY_FOR_TRACEBACK):
        return "memory"
    return "killed" if status < 0 else "error"


def _read_output(answer: Mapping[str, Any], result: Mapping[str, Any], limit: int) -> tuple[str, bool]:
    """Return standard output up to the limit, and whether there was more."""
    data = _encode(str(result.get("stdout") or ""))
    is_cut = len(data) >= _SERVICE_OUTPUT_BYTES
    with contextlib.suppress(LookupError, TypeError, ValueError):
        # The program may have written anything to the file, so no more of it is read than is returned.
        data += base64.b64decode(answer["files"]["stdout"][: 4 * (limit // 3 + 1)])
    is_cut = is_cut or len(data) > limit
    return data[:limit].decode("utf-8", errors="ignore" if is_cut else "replace"), is_cut


def _read_error(answer: Mapping[str, Any], result: Mapping[str, Any], limit: int) -> str:
    """Return the end of standard error, up to the limit."""
    data = _encode(str(result.get("stderr") or ""))
    with contextlib.suppress(LookupError, TypeError, ValueError):
        data += base64.b64decode(answer["files"]["stderr"][-4 * (limit // 3 + 1) :])
    is_cut = len(data) > limit
    return data[max(0, len(data) - limit) :].decode("utf-8", errors="ignore" if is_cut else "replace")


def _encode(text: str) -> bytes:
    return text.encode("utf-8", errors="backslashreplace")


def _last_line(text: str) -> str:
    line = text.strip().rpartition("\n")[2].strip()
    return line if len(line) <= 200 else f"…{line[-200:]}"
