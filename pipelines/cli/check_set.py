"""`pipeline check` of an evaluation set: its file, and the first problems of its source."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from pipelines.cli.common import in_sandbox
from pipelines.console import tables
from pipelines.evaluation.problems import make_problems
from pipelines.evaluation.sets import load_set


def check_set(name: str, options: Sequence[str], count: int) -> None:
    """Print what the first problems are made from.

    Args:
        name: As in `load_set`.
        options: `key=value` options over the file.
        count: Problems to make.

    Raises:
        InputError: The set has mistakes, its source is missing, or it has no problem with references.
        StepError: The sandbox failed.
    """
    given = load_set(name, options)
    with tempfile.TemporaryDirectory(prefix="pipeline-check-") as folder, in_sandbox("strong", None):
        made = make_problems(given, Path(folder, "problems.jsonl"), count)
    tables.say(f"set {given.name}: the first {made.describe()}")
    if given.note:
        tables.say(f"note: {' '.join(given.note.split())}")
    tables.say("no problems found")
