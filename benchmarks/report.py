"""Time, memory and size of the report of a long run.

A run of 2,000 RL steps with 20,000 kept samples of about 5,000 characters is made of files as a run leaves them. Measured: the
wall time and the peak memory of `pipeline report`; the size of the file; the time from opening it in a headless Chromium
until its curves are drawn; and, of a report that is kept current during the run, the share of a core that writing takes.

Chromium (Debian's package `chromium`) and playwright (`pip install -e '.[test]'`) are needed for opening it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import ROOT, Result, run, time_call
from pipelines.reports.live import LiveReport
from pipelines.trainers.base import StagePaths
from tests.pipelines.reports.making import RL, make_run, make_samples, rl_rows

OTHERS = 60
"""Metrics of a step that no topic names: with the others about 120, as verl logs."""

PIPELINE = str(Path(sys.executable).with_name("pipeline"))


def measure(given: argparse.Namespace) -> Iterator[Result]:
    """Yield the figures of a long run; of a short one with `--quick`."""
    steps, groups, per_group = (50, 1, 4) if given.quick else (2000, 2, 5)
    with tempfile.TemporaryDirectory() as folder:
        directory = make_run(Path(folder) / "long", steps=steps, groups=groups, per_group=per_group, others=OTHERS)
        lengthen_samples(directory)
        page = directory / "report.html"
        name = f"report of {steps:,} steps, {steps * groups * per_group:,} samples"
        seconds, cpu, memory = run_command([PIPELINE, "report", str(directory)])
        yield Result(name, "s", seconds, at_most=10)
        yield Result("its CPU time", "s", cpu)
        yield Result("peak memory", "MB", memory, at_most=300)
        yield Result("size of the file", "MB", page.stat().st_size / 1e6, at_most=20)
        yield open_in_chromium(page)
        first, again = measure_live(directory, steps)
        yield Result("live: first write of a resumed run, CPU time", "s", first)
        yield Result("live: each further write, CPU time", "s", again)
        yield Result("live: share of a core", "%", 100 * again / max(30.0, again / 0.01), at_most=2)


def lengthen_samples(directory: Path) -> None:
    """Make the responses of a run as long as those of a reasoning model."""
    folder = StagePaths(directory / "stages" / RL).samples
    text = "The digits are those of the decimal text, so the sum is over them.\\n" * 60
    for file in folder.glob("*/*.jsonl"):
        file.write_text(file.read_text().replace("<reasoning>\\n", f"<reasoning>\\n{text}"))


def run_command(argv: list[str]) -> tuple[float, float, float]:
    """Run a command, which must succeed; return its wall time, its CPU time and its peak memory in MB."""
    begin = time.perf_counter()
    done = subprocess.Popen(argv, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(ROOT)})
    _, status, usage = os.wait4(done.pid, 0)
    if os.waitstatus_to_exitcode(status):
        sys.exit(f"{argv} failed")
    return time.perf_counter() - begin, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def open_in_chromium(page: Path) -> Result:
    """Return the time until the page is loaded and its first curves are drawn."""
    name, program = "opened in Chromium", shutil.which("chromium")
    if program is None:
        return Result(name, "s", at_most=3, left_out="chromium is not installed")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return Result(name, "s", at_most=3, left_out="playwright is not installed")
    with sync_playwright() as control:
        browser = control.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page()

        def open_page() -> None:
            tab.goto(page.as_uri())
            tab.locator(".curves").first.scroll_into_view_if_needed()
            tab.locator(".plot > svg").first.wait_for()

        seconds = time_call(open_page)
        browser.close()
    return Result(name, "s", seconds, at_most=3)


def measure_live(directory: Path, steps: int) -> tuple[float, float]:
    """Return the CPU time of the first write of a live report, and of one after ten more steps."""
    live = LiveReport(directory)
    first = cpu_time(live)
    with StagePaths(directory / "stages" / RL).metrics.open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rl_rows(steps + 10, others=OTHERS) if row["step"] > steps)
    make_samples(directory, range(steps + 1, steps + 11), 2, 5)
    return first, cpu_time(live)


def cpu_time(live: LiveReport) -> float:
    begin = resource.getrusage(resource.RUSAGE_SELF)
    if not live.write(fsync=True):
        sys.exit("the report could not be written")
    end = resource.getrusage(resource.RUSAGE_SELF)
    return end.ru_utime + end.ru_stime - begin.ru_utime - begin.ru_stime


if __name__ == "__main__":
    run(__doc__, measure)
