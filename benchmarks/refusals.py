"""Time of `pipeline plan` on wrong recipes and on right ones.

1. Every wrong recipe of the tests (tests/pipelines/recipe/corpus) is planned in this process; then the slowest ones, each in
   a process of its own, as a user calls it. A mistake must be reported within two seconds.
2. `pipeline plan` of the shipped recipes, whole process: the median of their medians of five.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import chdir
from functools import partial
from pathlib import Path

from benchmarks.harness import Result, run, time_call
from benchmarks.overhead import PIPELINE
from pipelines.shipped import RECIPES
from tests.pipelines.recipe.corpus.base import Wrong
from tests.pipelines.recipe.corpus.refusing import CORPUS, refuse, write_files

_SLOWEST = 5  # timed again, as processes


def measure(given: argparse.Namespace) -> Iterator[Result]:
    """Yield the times of refusals and plans."""
    corpus, times = (CORPUS[::100], 1) if given.quick else (CORPUS, 5)
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        write_files(Path(folder))
        refuse(corpus[0])  # imports
        seconds = sorted(((time_call(partial(_refuse, wrong)), wrong) for wrong in corpus), key=lambda pair: pair[0])
        yield Result(f"median refusal of {len(corpus)}", "s", statistics.median(took for took, _ in seconds))
        slowest = max((_time_process(wrong), wrong.name) for _, wrong in seconds[-1 if given.quick else -_SLOWEST :])
        yield Result(f"slowest refusal, whole process: {slowest[1][:40]}", "s", slowest[0], at_most=2)
        recipes = sorted(RECIPES.glob("*.yaml"))[: 1 if given.quick else None]
        medians = [_median_plan(path, times) for path in recipes]
        yield Result("pipeline plan, whole process", "s", statistics.median(medians), at_most=0.5)


def _refuse(wrong: Wrong) -> None:
    os.environ |= wrong.variables
    try:
        if not refuse(wrong):
            sys.exit(f"{wrong.name} is accepted in silence")
    finally:
        for name in wrong.variables:
            del os.environ[name]


def _time_process(wrong: Wrong) -> float:
    """Return the seconds of `pipeline plan` on a wrong recipe."""
    Path("x.yaml").write_text(wrong.text, encoding="utf-8")
    words = [word for option in wrong.sets for word in ("--set", option)]
    variables = {**os.environ, **wrong.variables}

    def call() -> None:
        done = subprocess.run([PIPELINE, "plan", "x.yaml", *words], env=variables, capture_output=True)
        if done.returncode != 2:
            sys.exit(f"{wrong.name}: exit status {done.returncode}")

    return time_call(call)


def _median_plan(recipe: Path, times: int) -> float:
    """Return the seconds of `pipeline plan` with compiled modules, as every call of a user but the first has."""
    command = [PIPELINE, "plan", str(recipe), "--brief"]
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    def call() -> None:
        subprocess.run(command, env=variables, capture_output=True)

    call()
    return statistics.median(time_call(call) for _ in range(times))


if __name__ == "__main__":
    run(__doc__, measure)
