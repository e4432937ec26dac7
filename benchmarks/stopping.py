"""How long Ctrl-C takes: from the signal until `pipeline run` and every process of it have ended.

    python benchmarks/stopping.py RUNS        # RUNS has a finished run of smoke.yaml; stage one is begun anew

Stage one is stopped at three moments: as verl starts Ray, with vLLM up, and after its first step.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from pipelines.run import process
from pipelines.run.plan import stage_paths

# What the trainer's log says, or what is there, at each moment.
MOMENTS = {"Ray is starting": "Started a local Ray instance", "vLLM is up": "AgentLoopWorkerTQ", "a step is done": None}


def main(runs: Path) -> None:
    pipeline = str(Path(sys.executable).with_name("pipeline"))
    directory = runs.absolute() / "smoke"
    paths = stage_paths(directory, "stage-one")
    for moment, words in MOMENTS.items():
        argv = [pipeline, "run", "smoke.yaml", "--runs", str(runs), "--from", "stage-one", "--until", "stage-one", "--fresh"]
        started = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(5)  # until --fresh has put the old log aside
        while not reached(paths.step("train") / "log", words, paths.checkpoints):
            if started.poll() is not None:
                sys.exit(f"the run ended before: {moment}")
            time.sleep(0.05)
        alive = len(process.find_processes(directory))
        began = time.perf_counter()
        started.send_signal(signal.SIGINT)
        status = started.wait()
        left = process.find_processes(directory)
        seconds = time.perf_counter() - began
        print(f"{moment}: {alive} processes ended in {seconds:.1f} s, {len(left)} left, exit status {status} (bound: 10 s)")


def reached(log: Path, words: str | None, checkpoints: Path) -> bool:
    """Whether the trainer's log has the words; without words, whether there is a checkpoint."""
    if words is None:
        return any(checkpoints.glob("global_step_*/progress.json"))
    return log.exists() and words in log.read_text(encoding="utf-8", errors="replace")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs"))
