"""What to type next: the one list of commands that continue with a run."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipelines.cli.runs.text import show_path
from pipelines.records.runs import RUNS, Run, State
from pipelines.records.submission import RECIPE as FROZEN
from pipelines.records.submission import read_submission

Commands = Sequence[tuple[str, str]]
"""The end of a command line after `pipeline`, with `{run}` for the run, and what it does."""

COMMANDS: Mapping[State, Commands] = {
    "complete": (
        ("report {run}", "curves, samples and evaluations on one page"),
        ("evaluate {run}", "measure its model"),
        ("chat {run}", "talk with its model"),
    ),
    "running": (
        ("status {run} --watch", "how far it is"),
        ("logs {run} -f", "follow the log"),
        ("stop {run}", "stop it; the same command resumes"),
    ),
    "failed": (("status {run}", "what failed, and why"), ("logs {run}", "the whole log, without noise")),
    "interrupted": (("status {run}", "how far it is"), ("logs {run}", "the whole log, without noise")),
    "waiting": (),
}


def next_commands(run: Run, *, without: str = "") -> list[tuple[str, str]]:
    """Return command lines to continue with a run, each with what it does.

    Args:
        without: The command that prints them.
    """
    place = shlex.quote(show_path(run.directory))
    resume = []
    if run.state == "waiting" and read_submission(run.directory) is not None:
        listed = [("status {run}", "whether its job waits or runs"), ("stop {run}", "end its job")]
        return [(f"pipeline {command.format(run=place)}", text) for command, text in listed if not _is(command, without)]
    if run.state in ("failed", "interrupted", "waiting"):
        resume = [(resume_command(run), "start it" if run.state == "waiting" else "resume; complete steps are kept")]
    listed = [(f"pipeline {command.format(run=place)}", text) for command, text in COMMANDS[run.state]]
    return [*resume, *(each for each in listed if not _is(each[0].removeprefix("pipeline "), without))]


def _is(command: str, name: str) -> bool:
    return command.split()[0] == name


def show_commands(commands: Sequence[tuple[str, str]], width: int = sys.maxsize) -> list[str]:
    """Return the lines that show commands; the text after `#` may be copied with them.

    Args:
        commands: Command lines, each with what it does.
        width: Columns of the terminal.
    """
    longest = max((len(command) for command, _ in commands), default=0)
    lines = [f"  {command:<{longest}}  # {text}" for command, text in commands]
    if max(map(len, lines), default=0) <= width:
        return lines
    return [line for command, text in commands for line in (f"  {command}", f"      # {text}")]


def resume_command(run: Run) -> str:
    """Return the command line that continues a run: the one that started it, or one that names its recipe if it was moved."""
    manifest, directory = run.manifest, run.directory.absolute()
    folder, job = Path(manifest.folder), read_submission(run.directory)
    if job is not None and job.command and str(directory / FROZEN) in manifest.command:
        command = shlex.join(job.command)
        return command if Path(job.folder) == Path.cwd() else f"cd {shlex.quote(job.folder)} && {command}"
    if manifest.command and _writes_to(manifest.command, folder, manifest.name, directory):
        command = shlex.join(manifest.command)
        return command if folder == Path.cwd() else f"cd {shlex.quote(str(folder))} && {command}"
    home = directory.with_name(manifest.name)
    parent = show_path(home.parent)
    words = ["pipeline", "run", show_path(home / "recipe.yaml"), *(["--runs", parent] if parent != str(RUNS) else [])]
    # The run directory has the recipe's name.
    renamed = f"mv {shlex.quote(show_path(directory))} {shlex.quote(show_path(home))} && " if home != directory else ""
    return renamed + shlex.join(words)


def _writes_to(command: Sequence[str], folder: Path, name: str, directory: Path) -> bool:
    """Whether a `pipeline run` that was typed in a folder uses this run directory."""
    runs = "runs"
    for word, following in zip(command, [*command[1:], ""], strict=True):
        if word == "--runs":
            runs = following
        elif word.startswith("--runs="):
            runs = word.removeprefix("--runs=")
    place = folder / runs / name
    return place.exists() and place.samefile(directory)
