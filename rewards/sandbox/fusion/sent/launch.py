"""Sent with every program: start it with lower limits, an empty folder and fixed hashes, and pass on its output.

The service itself limits only wall time, and memory if its `isolation` is none. It reads little of a program's output before
the program has ended, and drops or blocks the rest. So the beginning of each stream goes to the service as it is written, and
the rest to a file, `stdout` or `stderr`, that the service returns.
"""

from __future__ import annotations

import codecs
import contextlib
import json
import os
import resource
import select
import signal
import sys

_PASSED_ON = 1 << 15
"""Bytes of a stream that the service gets directly: half of what a pipe holds."""
_CHUNK = 1 << 16
_MOST_CHUNKS = 1 << 8
"""What is read of a pipe after the program has ended: more than a pipe holds."""


def main(task: str) -> None:
    """Run `main.py` of the current folder, and end with its status; 128 + N if signal N ended it.

    Args:
        task: JSON of `limits`, {"RLIMIT_CPU": seconds, …}, and `output_bytes`: a program that writes more to standard output is
            ended; of standard error the end is kept.
    """
    given = json.loads(task)
    # No pathlib: importing it would slow down every program.
    folder = os.getcwd()  # noqa: PTH109
    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    pipes = {1: os.pipe(), 2: os.pipe()}
    program = os.fork()
    if program == 0:
        for number, (_, writing) in pipes.items():
            os.dup2(writing, number)
        _become_program(folder, given["limits"])
    for _, writing in pipes.values():
        os.close(writing)
    names = {1: "stdout", 2: "stderr"}
    most = given["output_bytes"]
    streams = [_Stream(reading, number, f"{folder}/{names[number]}", most) for number, (reading, _) in pipes.items()]
    status = _watch(program, ended, streams)
    for stream in streams:
        stream.finish()
    os._exit(128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))


class _Stream:
    """One output of the program, as UTF-8 with invalid bytes replaced."""

    def __init__(self, reading: int, number: int, path: str, most: int) -> None:
        self.reading, self._passed_to, self._path, self._most = reading, number, path, most
        self._keeps_end = number == 2
        self._size = self._in_file = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = -1

    def take(self) -> bool:
        """Wait for a chunk and pass it on. Return False at the end."""
        chunk = os.read(self.reading, _CHUNK)
        self._size += len(chunk)
        self._write(self._decoder.decode(chunk).encode())
        if self._keeps_end and self._in_file > 2 * self._most + _CHUNK:
            self._shorten()
        return bool(chunk)

    @property
    def is_too_long(self) -> bool:
        """Whether the program has to be ended."""
        return self._size > self._most and not self._keeps_end

    def finish(self) -> None:
        """Pass on what is already written, and an incomplete character at its end."""
        os.set_blocking(self.reading, False)
        try:
            for _ in range(_MOST_CHUNKS):
                if self.is_too_long or not self.take():
                    break
        except BlockingIOError:  # a process that the program left could write more
            pass
        self._write(self._decoder.decode(b"", final=True).encode())
        if self._keeps_end and self._in_file > self._most:
            self._shorten()
        if not self._has_file():
            self._remove_file()

    def _shorten(self) -> None:
        end = os.pread(self._rest, self._most, max(0, self._in_file - self._most))
        os.ftruncate(self._rest, 0)
        os.lseek(self._rest, 0, os.SEEK_SET)
        self._in_file = 0
        self._write(end)

    def _has_file(self) -> bool:
        try:
            return self._rest >= 0 and os.path.samestat(os.lstat(self._path), os.fstat(self._rest))
        except OSError:
            return False

    def _remove_file(self) -> None:
        """Remove what the program may have put there: the service must not read it."""
        with contextlib.suppress(OSError):
            os.unlink(self._path)  # noqa: PTH108

    def _write(self, data: bytes) -> None:
        # Whole characters only: the service decodes its part by itself.
        if self._rest < 0 and self._size > _PASSED_ON:
            self._remove_file()
            self._rest = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        self._in_file += len(data) if self._rest >= 0 else 0
        while data:
            data = data[os.write(self._passed_to if self._rest < 0 else self._rest, data) :]


def _watch(program: int, ended: int, streams: list[_Stream]) -> int:
    """Pass on the program's output until it ends, or end it if it writes too much. Return its status."""
    poll, open_streams = select.poll(), {stream.reading: stream for stream in streams}
    for number in (ended, *open_streams):
        poll.register(number, select.POLLIN)
    while True:
        for number, _ in poll.poll():
            if number == ended:
                os.read(ended, _CHUNK)
                found, status = os.waitpid(program, os.WNOHANG)
                if found:
                    return status
            elif not open_streams[number].take():
                poll.unregister(number)
        if any(stream.is_too_long for stream in streams):
            os.kill(program, signal.SIGKILL)
            return os.waitpid(program, 0)[1]


def _become_program(folder: str, limits: dict[str, int]) -> None:
    for name, value in limits.items():
        kind = getattr(resource, name)
        # For CPU time the kernel sends a signal at the soft limit, and kills at the hard one, a second later.
        soft, hard = value, value + 1
        current = resource.getrlimit(kind)[1]
        if current != resource.RLIM_INFINITY:
            soft, hard = min(soft, current), min(hard, current)
        resource.setrlimit(kind, (soft, hard))
    work = f"{folder}/work"
    os.mkdir(work)  # noqa: PTH102
    os.chdir(work)
    os.environ.update(HOME=work, TMPDIR=work, PYTHONHASHSEED="0", PYTHONUTF8="1", PYTHONDONTWRITEBYTECODE="1")
    # Address space is limited, so linear algebra libraries get no threads, and threads no separate heaps.
    os.environ.update(OMP_NUM_THREADS="1", MALLOC_ARENA_MAX="2")
    os.execv(sys.executable, [sys.executable, f"{folder}/main.py"])
