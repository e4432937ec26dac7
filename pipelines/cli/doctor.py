"""`pipeline doctor`: what this machine has, what is built, and how the programs that a model writes are isolated."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

from pipelines.console.tables import field_lines
from pipelines.environments import TRAINERS, Environment, detected_platform, environment
from pipelines.environments.ask import AskError, ask
from pipelines.environments.gpus import count_gpus
from pipelines.errors import StepError
from pipelines.shipped import python_path

_SECONDS = 120.0


def print_doctor() -> None:
    """Print a section per topic.

    Raises:
        StepError: Programs cannot be run safely here.
    """
    environments = {name: environment(name, detected_platform()) for name in TRAINERS}
    _print_section("machine", _describe_machine())
    _print_section("environments", [(name, _describe(found)) for name, found in environments.items()])
    # Programs run in this Python (data, trying rewards) and in verl's (training).
    pythons = {"pipeline": Path(sys.executable)}
    if environments["verl"].is_ready():
        pythons["verl"] = environments["verl"].python
    unsafe = []
    for name, python in pythons.items():
        report = _examine(python)
        rows = [("python", str(python))]
        rows += [(f"has {feature}", text) for feature, text in report["offered"]]
        rows += [*report["in_force"], *report["measured"]]
        if report["problem"]:
            rows.append(("NOT SAFE", report["problem"]))
            unsafe.append(name)
        _print_section(f"sandbox in {name}'s environment", rows)
    if unsafe:
        raise StepError(f"rewards cannot run untrusted programs safely in the environment of: {', '.join(unsafe)}")
    print("\nnext: pipeline run smoke.yaml")


def _describe_machine() -> list[tuple[str, str]]:
    import psutil

    memory, disk = psutil.virtual_memory(), shutil.disk_usage(Path.cwd())
    gpus = count_gpus()
    return [
        ("cores", f"{len(os.sched_getaffinity(0))}"),
        ("memory", f"{memory.available / 2**30:.0f} of {memory.total / 2**30:.0f} GiB free"),
        ("disk here", f"{disk.free / 2**30:.0f} of {disk.total / 2**30:.0f} GiB free"),
        ("GPUs", str(gpus) if gpus else "none found: recipes run on the CPU"),
        ("Python", f"{sys.version.split()[0]}, {sys.executable}"),
    ]


def _describe(found: Environment) -> str:
    reason = found.why_not_ready()
    return f"{reason}; `pipeline env sync` builds it" if reason else f"ready, {found.python}"


def _examine(python: Path) -> dict[str, Any]:
    """Return the report of `rewards.sandbox.local.examine` in a Python."""
    variables = {"PYTHONPATH": python_path()}
    try:
        report: dict[str, Any] = ask(python, ["-m", "rewards.sandbox.local.examine"], variables=variables, timeout=_SECONDS)
    except AskError as error:
        return {"offered": [], "in_force": [], "measured": [], "problem": str(error)}
    return report


def _print_section(title: str, rows: list[tuple[str, str]]) -> None:
    bold, plain = ("\x1b[1m", "\x1b[0m") if sys.stdout.isatty() and "NO_COLOR" not in os.environ else ("", "")
    print(f"\n{bold}{title}{plain}")
    for line in field_lines(rows, indent=2):
        print(line)
