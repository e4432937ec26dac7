"""`pipeline run --detach`: the same command in the background, its output in a file of the run directory."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from pipelines.cli.runs import text
from pipelines.console.tables import say
from pipelines.errors import PipelineError
from pipelines.records.holder import read_holder

FILE = "terminal.log"
"""What the command prints, in the run directory."""

_POLL_SECONDS = 0.1


class DetachedError(PipelineError):
    """The command in the background ended before it began to run steps."""

    def __init__(self, printed: str, status: int) -> None:
        super().__init__(printed.removeprefix("error: ") or f"it ended with status {status}")
        self.exit_status = status


def run_detached(directory: Path) -> None:
    """Start this command again in the background, without --detach; return when it holds the run directory.

    Raises:
        DetachedError: It ended before.
    """
    directory.mkdir(parents=True, exist_ok=True)
    output = directory / FILE
    argv = [sys.executable, *(word for word in sys.orig_argv[1:] if word != "--detach")]
    with output.open("ab") as sink:
        begins = sink.tell()
        # In a session of its own, the end of the terminal does not reach it.
        child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, start_new_session=True)
    while (holder := read_holder(directory)) is None or holder.pid != child.pid:
        if status := child.poll():
            raise DetachedError(output.read_bytes()[begins:].decode(errors="replace").strip(), status)
        if status == 0:
            break  # everything was done before
        time.sleep(_POLL_SECONDS)
    place = text.show_path(directory)
    say(f"runs in the background as process {child.pid}; its output: {text.show_path(output)}")
    say("follow or stop it with:")
    for command in (f"pipeline status {place} --watch", f"pipeline logs {place} -f", f"pipeline stop {place}"):
        say(f"  {command}")
    # The child outlives this process, which must not wait for it.
    child.returncode = 0
