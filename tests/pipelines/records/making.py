"""Run directories of two stages, in any state, written as a run writes them."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil

from pipelines.records.holder import FILE as OWNER
from pipelines.records.manifest import Manifest, StageEntry, StepEntry, write_manifest
from pipelines.records.metrics import MetricsFile, Row
from pipelines.records.progress import Reached, write_reached
from pipelines.records.runs import Run, open_run
from pipelines.records.steps import Outcome, StepRecord, write_record

STAGES = [
    StageEntry(name="sft", kind="sft", trainer="llamafactory", steps=450),
    StageEntry(name="rl", kind="rl", trainer="verl", algorithm="grpo", steps=4),
]
STEPS = [
    StepEntry(name="sft/prepare", title="prepare the rows of sft", stage="sft", folder="stages/sft/prepare"),
    StepEntry(name="rl/prepare", title="prepare the rows of rl", stage="rl", folder="stages/rl/prepare"),
    StepEntry(name="prompts", title="count the prompts", stage=None, folder="count-prompts"),
    StepEntry(name="sft/train", title="train sft", stage="sft", folder="stages/sft/train", trainer="llamafactory"),
    StepEntry(name="sft/handover", title="hand sft over", stage="sft", folder="stages/sft/handover"),
    StepEntry(name="sft/evaluate", title="evaluate sft", stage="sft", folder="evaluations/sft", optional=True),
    StepEntry(name="rl/train", title="train rl", stage="rl", folder="stages/rl/train", trainer="verl"),
    StepEntry(name="rl/export", title="export rl", stage="rl", folder="stages/rl/export-model"),
    StepEntry(name="rl/handover", title="hand rl over", stage="rl", folder="stages/rl/handover"),
]
NAMES = [step.name for step in STEPS]

RECIPE = """
name: {name}
stages:
- {{name: sft, kind: sft, steps: 450}}
- {{name: rl, kind: rl, algorithm: grpo, steps: 4}}
"""
LOSSES: list[Row] = [{"step": step, "total_steps": 450, "loss": 10 / step} for step in range(10, 451, 10)]
REWARDS: list[Row] = [
    {"step": 0, "val-core/gsm8k/reward/mean@1": 0.1},
    *(
        {"step": step, "training/global_step": step, "critic/score/mean": 0.2 * step, "actor/entropy": 1.0}
        for step in range(1, 5)
    ),
]


def make_run(
    directory: Path, last: str = "rl/handover", outcome: Outcome = "complete", *, selected: Sequence[str] = (), reason: str = ""
) -> Run:
    """Make a run whose steps before `last` are complete, and which ended with this outcome of `last`."""
    manifest = Manifest(
        project="0.3.0",
        name=directory.name,
        command=["pipeline", "run", "mine.yaml"],
        folder=str(directory.parent.parent),
        platform="cpu",
        stages=STAGES,
        steps=STEPS,
        selected=list(selected),
    )
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "recipe.yaml").write_text(RECIPE.format(name=directory.name))
    write_manifest(directory, manifest)
    for step in STEPS[: NAMES.index(last) + 1]:
        is_last = step.name == last
        write_step(directory / step.folder, outcome if is_last else "complete", reason if is_last else "")
        if step.name.endswith("/train"):
            assert step.stage is not None
            rows = LOSSES if step.stage == "sft" else REWARDS
            write_training(directory, step.stage, rows if not is_last or outcome == "complete" else rows[: len(rows) // 2])
        if step.name.endswith("/handover") and (not is_last or outcome == "complete"):
            (directory / "stages" / str(step.stage) / "model").mkdir()
    return open_run(directory)


def write_step(
    folder: Path, outcome: Outcome, reason: str = "", *, seconds: float = 61.0, started: float | None = None
) -> None:
    """Write the record and the log of a step."""
    began = datetime.fromtimestamp(time.time() if started is None else started, UTC).isoformat(timespec="seconds")
    write_record(folder, StepRecord("c", {}, outcome, reason, started=began, seconds=seconds))
    (folder / "log").write_text(f"--- attempt 1, {began}\nhello from {folder.name}\n")


def write_training(directory: Path, stage: str, rows: Sequence[Row]) -> None:
    """Write what a training leaves: its metrics, and how far it is."""
    paths = directory / "stages" / stage
    MetricsFile(paths / "metrics.jsonl").write(rows, ended=True)
    name, key, total = ("loss", "loss", 450) if stage == "sft" else ("reward", "critic/score/mean", 4)
    last = rows[-1]
    metrics = {name: last[key]} if key in last else {}
    write_reached(paths / "train", Reached(step=last["step"], total=total, metrics=metrics, seconds_left=None, at=time.time()))


def hold(directory: Path, pid: int | None = None, host: str | None = None, started: float | None = None) -> None:
    """Write who works in a run directory; default: this process."""
    pid = os.getpid() if pid is None else pid
    began = psutil.Process().create_time() if started is None else started
    (directory / OWNER).write_text(f"{pid} {host or socket.gethostname()} {began}\n")


def make_old(directory: Path) -> Path:
    """Turn a run into one of version 0.2: without `run.json` and `reached.json`."""
    for file in (directory / "run.json", *directory.rglob("reached.json")):
        file.unlink()
    return directory
