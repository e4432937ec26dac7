"""One command of the building: its output to a log and to whoever watches, its failure to one line."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pipelines.errors import StepError

_DECORATION = re.compile(r"[│╰├─▶\u00d7]|\x1b\[[0-9;]*m")
_LONGEST = 400


def run(
    argv: Sequence[str],
    *,
    log: Path,
    variables: Mapping[str, str],
    what: str,
    held: Sequence[int] = (),
    given: str | None = None,
    cwd: Path | None = None,
    watch: Callable[[str], None] = lambda line: None,
) -> None:
    """Runs a command to its end; every line goes to the log and to `watch`.

    `what` begins the error's line. `held` are file descriptors that the command inherits: the lock of the folder it
    writes into, which then stays locked until the command too has ended, even when this process is killed. `given` is
    its input.

    Raises:
        StepError: it could not be started, or ended badly; one line says why and names the log.
    """
    lines: list[str] = []
    with log.open("a", encoding="utf-8") as sink:
        sink.write(f"$ {' '.join(argv)}\n")
        sink.flush()
        try:
            child = subprocess.Popen(
                argv,
                stdin=subprocess.PIPE if given is not None else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                env=dict(variables),
                cwd=cwd or log.parent,
                pass_fds=tuple(held),
            )
        except OSError as error:
            raise StepError(f"{what}: {argv[0]} cannot be started: {error.strerror}") from None
        with child:
            try:
                if child.stdin and given is not None:
                    child.stdin.write(given)
                    child.stdin.close()
                for line in child.stdout or ():
                    sink.write(line)
                    lines.append(line)
                    watch(line.rstrip())
            except BaseException:
                child.terminate()
                raise
    if child.returncode:
        raise StepError(f"{what}: {reason(lines) or f'exit status {child.returncode}'} (the whole of it: {log})")


def reason(lines: Sequence[str]) -> str:
    """What uv's output says is wrong, in one line: from its last `error:` or cross on, without decoration and hints."""
    start = max(
        (i for i, line in enumerate(lines) if re.match(r"\s*(error:|\u00d7|fatal:)", line)),
        default=max(0, len(lines) - 3),
    )
    said = []
    for line in lines[start:]:
        text = _DECORATION.sub(" ", line).strip()
        if text.lower().startswith("hint:"):
            break
        said.append(re.sub(r"^(error|fatal):\s*", "", text))
    joined = re.sub(r"\s+", " ", " ".join(said)).strip()
    joined = re.sub(r"\s*[Cc]aused by:\s*|\s+cause:\s+", ": ", joined)
    return joined if len(joined) <= _LONGEST else joined[: _LONGEST - 2] + " …"
