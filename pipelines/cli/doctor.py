"""`pipeline doctor`: what this machine has, what is built, and what isolates the programs that a model writes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

from pipelines.environments import TRAINERS, environment
from pipelines.environments.platform import detected_platform
from pipelines.errors import StepError
from pipelines.shipped import CODE

_SECONDS = 120


def print_doctor() -> None:
    """Prints what was found, section by section.

    Raises:
        StepError: programs cannot be run safely here.
    """
    width = min(shutil.get_terminal_size((100, 20)).columns, 120)
    _print_section("machine", _describe_machine(), width)
    _print_section("environments", _describe_environments(), width)
    unsound = []
    for who, python in _find_pythons().items():
        report = _examine(python)
        rows = [("python", str(python))]
        rows += [(f"has {name}", text) for name, text in report["offered"]]
        rows += [*report["in_force"], *report["measured"]]
        if report["problem"]:
            rows.append(("NOT SOUND", report["problem"]))
            unsound.append(who)
        _print_section(f"sandbox in {who}'s environment", rows, width)
    if unsound:
        raise StepError(f"rewards cannot run untrusted programs safely in the environment of: {', '.join(unsound)}")
    print("\nnext: pipeline run smoke.yaml")


def _describe_machine() -> list[tuple[str, str]]:
    import psutil

    memory, disk = psutil.virtual_memory(), shutil.disk_usage(Path.cwd())
    gpus = len(list(Path("/dev").glob("nvidia[0-9]*")))
    return [
        ("cores", f"{len(os.sched_getaffinity(0))}"),
        ("memory", f"{memory.available / 2**30:.0f} of {memory.total / 2**30:.0f} GiB free"),
        ("disk here", f"{disk.free / 2**30:.0f} of {disk.total / 2**30:.0f} GiB free"),
        ("GPUs", str(gpus) if gpus else "none seen: recipes run on the CPU"),
        ("Python", f"{sys.version.split()[0]}, {sys.executable}"),
    ]


def _describe_environments() -> list[tuple[str, str]]:
    platform = detected_platform()
    rows: list[tuple[str, str]] = []
    for name in TRAINERS:
        found = environment(name, platform)
        reason = found.why_not_ready()
        rows.append((name, f"{reason}; `pipeline env sync` builds it" if reason else f"ready, {found.python}"))
    return rows


def _find_pythons() -> dict[str, Path]:
    """Who runs candidate programs: this command line (data, trying rewards), and verl in training."""
    pythons = {"pipeline": Path(sys.executable)}
    verl = environment("verl", detected_platform())
    if not verl.why_not_ready():
        pythons["verl"] = verl.python
    return pythons


def _examine(python: Path) -> dict[str, Any]:
    """The report of `rewards.sandbox.local.examine`, from that Python itself."""
    command = [str(python), "-m", "rewards.sandbox.local.examine"]
    try:
        done = subprocess.run(command, cwd=CODE, capture_output=True, text=True, timeout=_SECONDS, check=False)
        report: dict[str, Any] = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        last = "" if not isinstance(error, ValueError) else done.stderr.strip().rpartition("\n")[2]
        return {"offered": [], "in_force": [], "measured": [], "problem": last or str(error)}
    return report


def _print_section(title: str, rows: list[tuple[str, str]], width: int) -> None:
    bold, plain = ("\x1b[1m", "\x1b[0m") if sys.stdout.isatty() and "NO_COLOR" not in os.environ else ("", "")
    print(f"\n{bold}{title}{plain}")
    left = max(len(name) for name, _ in rows) + 4
    for name, text in rows:
        lines = textwrap.wrap(text, width - left, break_long_words=False, break_on_hyphens=False) or [""]
        print(f"  {name:<{left - 2}}{lines[0]}")
        for line in lines[1:]:
            print(" " * left + line)
