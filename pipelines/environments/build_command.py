"""Run the commands of builds: the output goes to a log, a failure becomes one line, and another thread can end them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from pipelines.errors import StepError

_DECORATION = re.compile(r"[│╰├─▶\u00d7]|\x1b\[[0-9;]*m")
_MAX_REASON = 400
_GRACE_SECONDS = 3.0
"""Time between SIGTERM and SIGKILL."""


class EndedError(Exception):
    """The commands were ended. Not a PipelineError: a build must not continue as after a failed command."""


class Commands:
    """The running commands of some builds."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._running: set[subprocess.Popen[str]] = set()
        self._changed = threading.Condition()

    def end(self) -> None:
        """End all commands with their descendants, and refuse further ones."""
        self._ended.set()
        with self._changed:
            self._signal(signal.SIGTERM)
            if not self._changed.wait_for(lambda: not self._running, _GRACE_SECONDS):
                self._signal(signal.SIGKILL)

    def pause(self, seconds: float) -> None:
        """Wait, unless the commands are ended.

        Raises:
            EndedError: They were.
        """
        if self._ended.wait(seconds):
            raise EndedError

    @contextmanager
    def hold(self, start: Callable[[], subprocess.Popen[str]]) -> Iterator[subprocess.Popen[str]]:
        """Start a command and wait for its end; end it if the block raises an error.

        Args:
            start: Starts it, in a session of its own.

        Raises:
            EndedError: The commands were ended, before or while it ran.
        """
        with self._changed:
            if self._ended.is_set():
                raise EndedError
            child = start()
            self._running.add(child)
        try:
            with child:
                try:
                    yield child
                except BaseException:
                    # With its workers: they may wait for tasks for ever, and keep the lock.
                    os.killpg(child.pid, signal.SIGTERM)
                    raise
        finally:
            with self._changed:
                self._running.discard(child)
                self._changed.notify_all()
        if self._ended.is_set():
            raise EndedError

    def _signal(self, number: signal.Signals) -> None:
        for child in self._running:
            # A command that has been waited for may have lost its number to another process.
            if child.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(child.pid, number)


def run(
    argv: Sequence[str],
    *,
    log: Path,
    variables: Mapping[str, str],
    what: str,
    commands: Commands | None = None,
    lock: int | None = None,
    stdin: str | None = None,
    cwd: Path | None = None,
    watch: Callable[[str], None] = lambda line: None,
) -> None:
    """Run a command.

    Args:
        what: The start of the error message.
        commands: The commands that it is ended with; default: none.
        lock: A file descriptor for the command to inherit: the lock of the folder it writes into stays held until the
            command has ended, even if this process is killed.
        watch: Called with each line of output.

    Raises:
        StepError: It cannot be started, or it failed.
        EndedError: It was ended.
    """

    def start() -> subprocess.Popen[str]:
        try:
            return subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
                env=dict(variables),
                cwd=cwd or log.parent,
                pass_fds=() if lock is None else (lock,),
                start_new_session=True,
            )
        except OSError as error:
            raise StepError(f"{what}: {argv[0]} cannot be started: {error.strerror}") from None

    lines: list[str] = []
    with log.open("a", encoding="utf-8", buffering=1) as sink:
        sink.write(f"$ {' '.join(argv)}\n")
        with (commands or Commands()).hold(start) as child:
            if child.stdin and stdin is not None:
                child.stdin.write(stdin)
                child.stdin.close()
            for line in child.stdout or ():
                sink.write(line)
                lines.append(line)
                watch(line.rstrip())
    if child.returncode:
        raise StepError(f"{what}: {find_reason(lines) or f'exit status {child.returncode}'} (full log: {log})")


def find_reason(lines: Sequence[str]) -> str:
    """Return the last error in the output of uv, pip or git as one line, without decoration and hints."""
    start = max(
        (i for i, line in enumerate(lines) if re.match(r"\s*(error:|\u00d7|fatal:)", line, re.IGNORECASE)),
        default=max(0, len(lines) - 3),
    )
    kept = []
    for line in lines[start:]:
        text = _DECORATION.sub(" ", line).strip()
        if text.lower().startswith("hint:"):
            break
        kept.append(re.sub(r"^(error|fatal):\s*", "", text, flags=re.IGNORECASE))
    joined = re.sub(r"\s+", " ", " ".join(kept)).strip()
    joined = re.sub(r"\s*caused by:\s*|\s+cause:\s+", ": ", joined, flags=re.IGNORECASE)
    return joined if len(joined) <= _MAX_REASON else joined[: _MAX_REASON - 2] + " …"
