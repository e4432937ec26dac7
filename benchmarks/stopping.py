"""Time from Ctrl-C until all processes of a run have ended; documented to be at most 10 s.

First a command with 20 idle processes, half of which ignore SIGTERM. Then `pipeline run smoke.yaml`, of which RUNS has a
finished run: its stage `stage-one` is started again and stopped while verl starts Ray, with vLLM running, and after a step.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.harness import ROOT, Result, run, time_call
from pipelines.run import process
from pipelines.run.plan import stage_paths

# What the trainer's log contains at each moment.
MOMENTS = {"Ray is starting": "Started a local Ray instance", "vLLM is running": "AgentLoopWorkerTQ", "a step is done": None}
SLEEPERS = 20

IDLE = """
import signal, subprocess, sys, time
sleep = "import signal, time; {}; print('ready', flush=True); time.sleep(100_000)"
for number in range(int(sys.argv[1])):
    ignore = "signal.signal(signal.SIGTERM, signal.SIG_IGN)" if number % 2 else "pass"
    child = subprocess.Popen([sys.executable, "-c", sleep.format(ignore)], stdout=subprocess.PIPE)
    child.stdout.readline()
print("all started", flush=True)
time.sleep(100_000)
"""
RUN = """
import sys
from pathlib import Path
from pipelines.run import process
folder = Path(sys.argv[1])
with process.signals_as_stopped():
    command = [sys.executable, "-c", sys.argv[2], sys.argv[3]]
    process.run(command, cwd=folder, environment={}, log=folder / "log", run_directory=folder)
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="?", type=Path, default=Path("runs"), help="default: runs")


def measure(given: argparse.Namespace) -> Iterator[Result]:
    """Yield the times of the idle command and of the trainer."""
    with tempfile.TemporaryDirectory() as folder:
        count = 4 if given.quick else SLEEPERS
        argv = [sys.executable, "-c", RUN, folder, IDLE, str(count)]
        yield stop(argv, Path(folder), f"{count} idle processes", lambda: contains(Path(folder) / "log", "all started"))
    directory = given.runs.absolute() / "smoke"
    paths = stage_paths(directory, "stage-one")
    missing = "--quick" if given.quick else "" if paths.model.exists() else f"no finished run in {directory}"
    for moment, words in MOMENTS.items():
        if missing:
            yield Result(f"stage-one, {moment}", "s", at_most=10, left_out=missing)
            continue
        argv = [str(Path(sys.executable).with_name("pipeline")), "run", "smoke.yaml", "--runs", str(given.runs)]
        argv += ["--from", "stage-one", "--until", "stage-one", "--fresh"]
        log, start = paths.step("train") / "log", time.time()

        def is_reached(words: str | None = words, log: Path = log, start: float = start) -> bool:
            if words is None:
                files = paths.checkpoints.glob("global_step_*/progress.json")
                return any(each.stat().st_mtime > start for each in files)
            return log.exists() and log.stat().st_ctime > start and contains(log, words)

        yield stop(argv, directory, f"stage-one, {moment}", is_reached)


def stop(argv: list[str], directory: Path, name: str, is_reached: Callable[[], bool]) -> Result:
    """Start a run, stop it with SIGINT at the given moment, and measure until its last process has ended."""
    started = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not is_reached():
        if started.poll() is not None:
            sys.exit(f"{name}: the run ended before it could be stopped")
        time.sleep(0.05)
    alive = len(process.find_processes(directory))

    def interrupt() -> None:
        started.send_signal(signal.SIGINT)
        started.wait()

    seconds = time_call(interrupt)
    if left := process.find_processes(directory):
        sys.exit(f"{name}: still running: {', '.join(left.values())}")
    return Result(f"{name} ({alive} processes)", "s", seconds, at_most=10)


def contains(file: Path, words: str) -> bool:
    return file.exists() and words in file.read_text(encoding="utf-8", errors="replace")


if __name__ == "__main__":
    run(__doc__, measure, add_arguments)
