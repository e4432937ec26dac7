"""A campaign of faults: after each, the run must end with the same weights as an unbroken one, byte for byte.

Real trainers on the CPU: LLaMA-Factory (`sft`), LLaMA-Factory with two ranks under torchrun (`ranks`), verl's SFT trainer
(`verl-sft`) and GRPO with verl, Ray and vLLM (`grpo`). The fourth column has what the run printed about the fault. All faults
take about an hour on two cores.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.harness import ROOT, Result, run
from pipelines.run import process
from pipelines.run.plan import stage_paths
from pipelines.run.scratch import scratch_folder
from pipelines.trainers.base import StagePaths

_SECONDS = 900.0
_PIPELINE = str(Path(sys.executable).with_name("pipeline"))
_STALL = "stall_minutes=0.4"

_HEAD = """
model: {make: qwen2, vocabulary: 1024, hidden_size: 64, layers: 2, heads: 2, max_tokens: 1024}
stages:
  - name: stage
    data: {train: {converter: programs_execution, source: DATA, options: {questions: 2}}, validation: {fraction: 0.1}}
"""
_SFT = """
    kind: sft
    steps: 90
    save_every: 30
    learning_rate: 5.0e-3
    batch: {per_device: 4}
    max_tokens: 512
"""
_GRPO = """
    kind: rl
    algorithm: grpo
    reward: {name: white_box, options: {format_bonus: 0.1}}
    steps: 3
    save_every: 1
    learning_rate: 1.0e-4
    batch: {prompts: 4, mini: 4, micro_per_gpu: 4}
    rollout: {samples: 2, max_prompt_tokens: 320, max_response_tokens: 64}
"""
_RECIPES = {
    "sft": _HEAD + _SFT,
    "ranks": "hardware: {gpus_per_node: 2}\n" + _HEAD + _SFT.replace("per_device: 4", "per_device: 2"),
    "verl-sft": _HEAD + _SFT.replace("kind: sft", "kind: sft\n    trainer: verl").replace("5.0e-3", "1.0e-3"),
    "grpo": _HEAD + _GRPO,
}


class Run:
    """One run directory.

    Args:
        recipe: A recipe file.
        runs: The parent of the run directory.
    """

    def __init__(self, recipe: Path, runs: Path) -> None:
        self.recipe, self.runs, self.directory = recipe, runs, runs / recipe.stem
        self.printed = runs.with_name(f"{runs.name}.printed")
        self.started: subprocess.Popen[bytes] | None = None

    @property
    def paths(self) -> StagePaths:
        return stage_paths(self.directory, "stage")

    @property
    def checkpoints(self) -> list[Path]:
        """The complete checkpoints, the newest last."""
        folder = self.paths.checkpoints
        marks = [*folder.glob("checkpoint-*/trainer_state.json"), *folder.glob("global_step_*/progress.json")]
        return [mark.parent for mark in sorted(marks, key=lambda each: each.stat().st_mtime)]

    def start(self, *sets: str, variables: dict[str, str] | None = None, before: tuple[str, ...] = ()) -> None:
        argv = [*before, _PIPELINE, "run", str(self.recipe), "--runs", str(self.runs), "--set", "hardware.platform=cpu"]
        argv += [word for each in sets for word in ("--set", each)]
        environment = {**psutil.Process().environ(), **(variables or {})}
        with self.printed.open("ab") as sink:
            self.started = subprocess.Popen(argv, cwd=ROOT, stdout=sink, stderr=sink, env=environment)

    def wait(self, condition: Callable[[], object], what: str) -> None:
        """Wait for something that the run will do."""
        assert self.started is not None
        deadline = time.monotonic() + _SECONDS
        while not condition():
            if self.started.poll() is not None:
                raise FaultError(f"ended with {self.started.returncode} before {what}: {self.last_line()}")
            if time.monotonic() > deadline:
                raise FaultError(f"no {what} in {_SECONDS:.0f} s")
            time.sleep(0.02)

    def wait_for_checkpoints(self, count: int) -> None:
        self.wait(lambda: len(self.checkpoints) >= count, f"{count} checkpoints")

    def wait_for_log(self, words: str) -> None:
        log = self.paths.step("train") / "log"
        self.wait(lambda: log.exists() and words in log.read_text(errors="replace"), repr(words))

    def end(self) -> int:
        assert self.started is not None
        return self.started.wait(_SECONDS)

    def finish(self) -> None:
        if status := self.end():
            raise FaultError(f"ended with status {status}: {self.last_line()}")

    def kill_run(self) -> None:
        """Kill -9 the command itself, and wait until nothing of it runs."""
        assert self.started is not None
        self.started.kill()
        self.started.wait()
        deadline = time.monotonic() + 120
        while process.find_processes(self.directory) and time.monotonic() < deadline:
            time.sleep(0.1)

    def find(self, pattern: str) -> psutil.Process:
        """Return a process by a part of its name or command line; `supervisor`; or `trainer`, the step's command."""
        assert self.started is not None
        children = psutil.Process(self.started.pid).children(recursive=True)
        supervisor = next((each for each in children if "pipelines.run.supervisor" in each.cmdline()), None)
        if supervisor is None:
            raise FaultError("no step runs")
        if pattern == "supervisor":
            return supervisor
        if pattern == "trainer":
            return supervisor.children()[0]
        for each in supervisor.children(recursive=True):
            with suppress(psutil.Error):
                if pattern in each.name() or pattern in " ".join(each.cmdline()):
                    return each
        names = sorted({each.name() for each in supervisor.children(recursive=True)})
        raise FaultError(f"no process {pattern}; there are {', '.join(names)}")

    def said(self) -> str:
        """Return what was printed about the fault."""
        lines = [line.strip() for line in self.printed.read_text(errors="replace").splitlines()]
        words = (" failed at step", "is incomplete", "waits for room", "stopped; resume", "ended orphaned", "resumes from")
        return " | ".join(line for line in lines if any(word in line for word in words))

    def last_line(self) -> str:
        lines = self.printed.read_text(errors="replace").splitlines()
        return next((line for line in reversed(lines) if line.startswith("error:")), lines[-1] if lines else "")


class FaultError(Exception):
    """A run did not survive a fault."""


@dataclass(frozen=True)
class Fault:
    """A fault and how it is brought about."""

    trainer: str
    name: str
    do: Callable[[Run], None]
    needs: str = field(default="")
    """Words that the run must print about it."""


def signalled(target: str, number: int, after: int = 1) -> Callable[[Run], None]:
    """Send a signal to a process after some checkpoints; the run must end by itself."""

    def do(run: Run) -> None:
        run.start(*([_STALL] if number == signal.SIGSTOP else []))
        run.wait_for_checkpoints(after)
        run.find(target).send_signal(number)
        run.finish()

    return do


def killed_early(words: str, target: str = "trainer") -> Callable[[Run], None]:
    """Kill a process before the first step, when the log has these words."""

    def do(run: Run) -> None:
        run.start()
        run.wait_for_log(words)
        run.find(target).kill()
        run.finish()

    return do


def killed_twice(run: Run) -> None:
    """Kill the trainer after a checkpoint and, resumed, before the next."""
    run.start()
    run.wait_for_checkpoints(1)
    first = run.find("trainer")
    first.kill()
    run.wait(lambda: run.said().count("failed at step") == 1 and _other(run, first), "second attempt")
    run.find("trainer").kill()
    run.finish()


def _other(run: Run, first: psutil.Process) -> bool:
    with suppress(ValueError, IndexError, psutil.Error, FaultError):
        return run.find("trainer").pid != first.pid
    return False


def stopped(number: int) -> Callable[[Run], None]:
    """Stop the command by a signal after a checkpoint, and type it again."""

    def do(run: Run) -> None:
        run.start()
        run.wait_for_checkpoints(1)
        if number == signal.SIGKILL:
            run.kill_run()
        else:
            assert run.started is not None
            run.started.send_signal(number)
            if run.end() != 128 + number:
                raise FaultError(f"ended with status {run.end()}, expected {128 + number}")
        run.start()
        run.finish()

    return do


def torn(pattern: str, share: float | None = 0.5) -> Callable[[Run], None]:
    """Kill the command after two checkpoints, cut a file of the newest one (None: delete it), and type the command again."""

    def do(run: Run) -> None:
        run.start()
        run.wait_for_checkpoints(2)
        run.kill_run()
        file = next(run.checkpoints[-1].rglob(pattern))
        if share is None:
            file.unlink()
        else:
            with file.open("r+b") as opened:
                opened.truncate(int(file.stat().st_size * share))
        run.start()
        run.finish()

    return do


def full_disk(run: Run) -> None:
    """Let the disk run full while the second checkpoint is saved, and free it when the run waits for room."""
    kept = run.runs.with_name(run.runs.name + "-kept")
    script = (
        'mount -t tmpfs -o size=96m none "$1" && cp -a "$2/." "$1" && shift 2 && '
        f"free=$(df --output=avail -B1 {run.runs} | tail -1) && head -c $((free - 4500000)) /dev/zero > {run.runs}/filler && "
        f'"$@"; status=$?; cp -a {run.runs}/. {kept}; exit $status'
    )
    shutil.copytree(run.runs, kept, symlinks=True)
    run.start(before=("unshare", "--map-root-user", "--mount", "sh", "-c", script, "sh", str(run.runs), str(kept)))
    run.wait(lambda: "waits for room" in run.printed.read_text(errors="replace"), "wait for room")
    assert run.started is not None
    Path(f"/proc/{run.started.pid}/root{run.runs}/filler").unlink()
    run.finish()
    run.runs, run.directory = kept, kept / run.directory.name


def taken_port(run: Run) -> None:
    """Give the ranks a port that another process has until they have failed."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        run.start(variables={"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(taken.getsockname()[1])})
        run.wait(lambda: " failed at step" in run.said(), "failure")
    run.finish()


FAULTS = [
    Fault("sft", "trainer killed -9", signalled("trainer", signal.SIGKILL), "was killed by signal 9"),
    Fault("sft", "trainer killed -9 before its first step", killed_early("Running training"), "the beginning"),
    Fault("sft", "trainer killed -9 twice without a checkpoint in between", killed_twice, "retry 2 of 3"),
    Fault("sft", "trainer gets SIGTERM", signalled("trainer", signal.SIGTERM), "signal 15"),
    Fault("sft", "trainer crashes (SIGSEGV)", signalled("trainer", signal.SIGSEGV, 2), "signal 11"),
    Fault("sft", "trainer hangs (SIGSTOP)", signalled("trainer", signal.SIGSTOP, 2), "no CPU time"),
    Fault("sft", "supervisor killed -9", signalled("supervisor", signal.SIGKILL), "supervisor"),
    Fault("sft", "pipeline run killed -9", stopped(signal.SIGKILL), "resumes from"),
    Fault("sft", "Ctrl-C", stopped(signal.SIGINT), "stopped; resume"),
    Fault("sft", "pipeline run gets SIGTERM", stopped(signal.SIGTERM), "stopped; resume"),
    Fault("sft", "terminal closed (SIGHUP)", stopped(signal.SIGHUP), "stopped; resume"),
    Fault("sft", "newest checkpoint: weights cut off", torn("model.safetensors"), "model.safetensors is cut off"),
    Fault("sft", "newest checkpoint: optimizer cut off", torn("optimizer.pt"), "optimizer.pt is cut off"),
    Fault("sft", "newest checkpoint: empty state", torn("trainer_state.json", 0.0), "is incomplete"),
    Fault("sft", "newest checkpoint: no state", torn("trainer_state.json", None), "is incomplete"),
    Fault("sft", "disk full while saving", full_disk, "waits for room"),
    Fault("ranks", "a rank killed -9", signalled("launcher.py", signal.SIGKILL), "failed at step"),
    Fault("ranks", "torchrun killed -9", signalled("torchrun", signal.SIGKILL), "failed at step"),
    Fault("ranks", "port of the ranks taken", taken_port, "port is in use"),
    Fault("verl-sft", "a rank killed -9", signalled("verl.trainer.sft_trainer --config", signal.SIGKILL), "failed at step"),
    Fault("verl-sft", "torchrun killed -9", signalled("trainer", signal.SIGKILL), "signal 9"),
    Fault("verl-sft", "pipeline run killed -9", stopped(signal.SIGKILL), "resumes from"),
    Fault("verl-sft", "newest checkpoint: weights cut off", torn("model_*.pt"), "is cut off"),
    Fault("verl-sft", "newest checkpoint: optimizer missing", torn("progress.json", None), "is incomplete"),
    Fault("grpo", "driver killed -9", signalled("trainer", signal.SIGKILL), "signal 9"),
    Fault("grpo", "policy's worker killed -9", signalled("ray::WorkerDict", signal.SIGKILL), "failed at step"),
    Fault("grpo", "vLLM's engine killed -9", signalled("EngineCore", signal.SIGKILL), "failed at step"),
    Fault("grpo", "vLLM's engine hangs (SIGSTOP)", signalled("EngineCore", signal.SIGSTOP), "no CPU time"),
    Fault("grpo", "reward's worker killed -9", signalled("ray::RewardLoopWorker", signal.SIGKILL), "failed at step"),
    Fault("grpo", "raylet killed -9", signalled("raylet", signal.SIGKILL), "failed at step"),
    # Later, this training ends before Ray misses it.
    Fault("grpo", "Ray's control store killed -9", killed_early("(TaskRunnerV1", "gcs_server"), "the beginning"),
    Fault("grpo", "newest checkpoint: policy cut off", torn("model_*.pt"), "is cut off"),
]  # fmt: skip


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", metavar="TEXT", help="only faults whose trainer and name contain this: `grpo`, `sft: Ctrl-C`")


def measure(given: argparse.Namespace) -> Iterator[Result]:
    """Yield for each fault whether the run ended otherwise than an unbroken one."""
    chosen = [each for each in FAULTS if not given.only or given.only in f"{each.trainer}: {each.name}"]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        unbroken: dict[str, Run] = {}
        for number, fault in enumerate(chosen):
            name = f"{fault.trainer}: {fault.name}"
            if given.quick:
                yield Result(name, "differs", at_most=0, is_count=True, left_out="--quick")
                continue
            if fault.trainer not in unbroken:
                unbroken[fault.trainer] = _run_unbroken(fault.trainer, Path(folder))
            run_of = _prepared(unbroken[fault.trainer], Path(folder, str(number)))
            problem = _try(fault, run_of, unbroken[fault.trainer])
            said = run_of.said()
            print(f"  {name}: {problem or 'ok'}\n    {said}", file=sys.stderr)
            yield Result(name, "differs", float(bool(problem)), against=problem or said[:160], at_most=0, is_count=True)
            shutil.rmtree(run_of.runs, ignore_errors=True)


def _run_unbroken(trainer: str, folder: Path) -> Run:
    recipe = folder / f"{trainer}.yaml"
    recipe.write_text(f"name: {trainer}\n" + _RECIPES[trainer].replace("DATA", str(ROOT / "recipes/data/programs.py")))
    made = Run(recipe, folder / "unbroken")
    made.runs.mkdir(exist_ok=True)
    made.start()
    made.finish()
    return made


def _prepared(unbroken: Run, runs: Path) -> Run:
    """Return a copy of a run in which nothing is trained yet."""
    made = Run(unbroken.recipe, runs)
    shutil.copytree(unbroken.directory, made.directory, symlinks=True)
    paths = made.paths
    for path in (*map(paths.step, ("train", "export-model", "handover")), paths.checkpoints, paths.export, paths.model):
        shutil.rmtree(path, ignore_errors=True)
    for path in (paths.checkpoint, paths.metrics):
        path.unlink(missing_ok=True)
    return made


def _try(fault: Fault, run_of: Run, unbroken: Run) -> str:
    """Bring a fault about; return what is wrong, or an empty text."""
    try:
        fault.do(run_of)
        if fault.needs not in run_of.said():
            return f"not said: {fault.needs}"
        weights = [each.paths.model / "model.safetensors" for each in (run_of, unbroken)]
        if weights[0].read_bytes() != weights[1].read_bytes():
            return "other weights"
        if left := process.find_processes(run_of.directory):
            return f"still running: {', '.join(left.values())}"
        if [*Path("/dev/shm").glob(f"*{scratch_folder(run_of.directory).name}*")]:
            return "shared memory is left"
    except (FaultError, OSError, psutil.Error, StopIteration, subprocess.TimeoutExpired) as error:
        return f"{type(error).__name__} {error}"
    finally:
        if run_of.started is not None and run_of.started.poll() is None:
            run_of.started.kill()
        process.end_orphans(run_of.directory)
    return ""


if __name__ == "__main__":
    run(__doc__, measure, add_arguments)
