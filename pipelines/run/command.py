"""Run one command under the supervisor with a log, as a step of a run is run; its failure is one line."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pipelines.errors import InputError
from pipelines.run import process
from pipelines.run.failure import describe_end, failure


def run_logged(
    argv: Sequence[str],
    variables: Mapping[str, str],
    folder: Path,
    run_directory: Path,
    what: str,
    poll: Callable[[], None] = lambda: None,
    log: Path | None = None,
) -> None:
    """Run a command in a folder; its output is added to a log.

    Args:
        argv: The command.
        variables: Environment variables on top of the caller's.
        folder: The command's folder.
        run_directory: The folder by which its processes and temporary files are found again.
        what: The command in words, for errors.
        poll: Called twice a second while it runs.
        log: The log; default: `log` in the folder.

    Raises:
        InputError: It ended with status 2, a mistake in its input.
        StepError: It failed in another way.
    """
    log = log or folder / "log"
    with log.open("a", encoding="utf-8") as sink:
        sink.write("--- attempt\n")
    outcome = process.run(argv, cwd=folder, environment=variables, log=log, run_directory=run_directory, poll=poll)
    if outcome.status != 0:
        reason = f"{what} {describe_end(outcome, log)}"
        raise InputError(reason) if outcome.status == InputError.exit_status else failure(reason, log)
