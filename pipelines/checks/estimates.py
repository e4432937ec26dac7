"""Estimate what each stage will need, with what is known of this machine, the rows and an earlier run."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from pipelines.checks.findings import Finding
from pipelines.checks.resources import gpu_bytes
from pipelines.console.sizes import format_bytes
from pipelines.errors import InputError
from pipelines.estimates.memory import estimate_memory
from pipelines.estimates.shapes import read_shape
from pipelines.estimates.terms import Memory, Phase
from pipelines.estimates.work import Lengths, Work, estimate_work
from pipelines.recipe.schema import RlStage, SftStage
from pipelines.records.overlong import read_overlong
from pipelines.records.runs import Run
from pipelines.run.plan import Plan
from preprocess import atomic

_WARM_UP = 1
"""Steps at the beginning of a training whose time is not typical."""


_TIGHT = 0.9
"""Share of the memory above which the inaccuracy of the estimate decides."""


def estimate_stage(plan: Plan, stage: SftStage | RlStage, given: int | None) -> Memory | None:
    """Return the memory of a stage; None: the sizes of its model are unknown.

    Args:
        given: Memory of each GPU; None: that of this machine's GPUs, if it has any.
    """
    shape = read_shape(plan.recipe.base_model(stage), plan.recipe.base_revision(stage))
    platform = plan.machine.platform
    if shape is None:
        return None
    known = (given or gpu_bytes()) if platform == "cuda" else None
    return estimate_memory(stage, plan.recipe.hardware_of(stage), platform, shape, known)


def check_memory(plan: Plan, stage: SftStage | RlStage, given: int | None) -> Finding:
    """Compare the memory that a stage needs with that of the GPUs, or on a CPU with that of this machine.

    An estimate is no reason to refuse a run: the finding is at most a note.
    """
    memory, cuda = estimate_stage(plan, stage, given), plan.machine.platform == "cuda"
    what = "GPU memory" if cuda else "memory"
    if memory is None:
        model = plan.recipe.base_model(stage)
        return Finding(stage.name, what, f"not estimated: the config.json of {model} is not on this machine", "note")
    limit = (given or gpu_bytes()) if cuda else psutil.virtual_memory().available
    peak, host = memory.peak, f"; {format_bytes(memory.host.bytes)} of main memory" if cuda else ""
    share = peak.bytes / limit if limit else 0.0
    of = f" of {format_bytes(limit)}" if limit and (cuda or share > _TIGHT) else ""
    result = f"about {format_bytes(peak.bytes)}{of} to {peak.name}, {describe_largest(peak)}{host}"
    starved = limit is not None and any("do not fit" in note for note in memory.notes)
    if starved:
        result += f"; {memory.notes[0]}"
    fits = "; it may not fit" if share > 1 else "; it is tight" if share > _TIGHT else ""
    return Finding(stage.name, what, result + fits, "note" if fits or starved else "ok")


def describe_largest(phase: Phase) -> str:
    """Return the largest term of a phase, and how to lower it."""
    largest = phase.largest
    lower = f" (lower it by {largest.lower})" if largest.lower else ""
    return f"the largest part {largest.name}, {format_bytes(largest.bytes)}{lower}"


def estimate_work_of(plan: Plan, stage: SftStage | RlStage, throughput: float | None, measured: Run | None) -> Work:
    """Return the steps, tokens and time of a stage.

    Args:
        throughput: Tokens per second and device.
        measured: A run whose stage of the same name was trained; its speed is used if no throughput is given.
    """
    paths = plan.paths(stage.name)
    rows = (atomic.read_json(paths.data / "summary.json") or {}).get("rows", {}).get("train")
    if rows and (overlong := read_overlong(paths)) is not None:
        rows -= overlong.left_out("train")
    prompts = (atomic.read_json(paths.prompts) or {}).get("files", {}).get("train", {})
    mean = prompts.get("mean") if isinstance(prompts, dict) else None
    row = mean if isinstance(mean, int | float) and mean > 0 else None
    response = None
    if measured is not None and stage.name in [each.name for each in measured.stages]:
        found = _read_speed(measured, stage)
        response = found.get("response")
        row = row or found.get("row")
        throughput = throughput or found.get("throughput")
    known = Lengths(round(row) if row else None, round(response) if response else None)
    return estimate_work(stage, plan.recipe.hardware_of(stage), rows, known, throughput)


def _read_speed(run: Run, stage: SftStage | RlStage) -> Mapping[str, float]:
    """Return the mean lengths and the tokens per second and device of a stage that a run has trained."""
    metrics = list(run.stage(stage.name).metrics())[_WARM_UP:]
    found = {
        "response": _mean(metrics, "response_length/mean"),
        "row": _mean(metrics, "prompt_length/mean"),
        "throughput": _mean(metrics, "perf/throughput"),
    }
    if found["throughput"] is None and (training := run.stage(stage.name).training) is not None:
        # The SFT trainers do not log it: from the wall time of all steps.
        steps = run.stage(stage.name).last_metrics()
        tokens = _tokens_per_step(run, stage)
        if steps and tokens and training.seconds:
            found["throughput"] = tokens * float(steps["step"]) / training.seconds
    return {name: value for name, value in found.items() if value}


def _tokens_per_step(run: Run, stage: SftStage | RlStage) -> float | None:
    """Return the tokens per step and device of a run's stage, by its own recipe and rows."""
    stages: list[dict[str, Any]] = run.recipe.get("stages") or []
    batch = next((each.get("batch") or {} for each in stages if each.get("name") == stage.name), {})
    counted = (atomic.read_json(run.stage(stage.name).paths.prompts) or {}).get("files", {}).get("train", {}).get("mean")
    rows = batch.get("per_device", 1) * batch.get("accumulate", 1)
    return rows * counted if isinstance(counted, int | float) and isinstance(rows, int) else None


def _mean(rows: Sequence[Mapping[str, float]], key: str) -> float | None:
    values = [row[key] for row in rows if key in row]
    return statistics.mean(values) if values else None


def read_throughput(given: list[str], stages: list[str]) -> dict[str, float]:
    """Read `--throughput TOKENS` or `STAGE=TOKENS`; the later one of a stage counts.

    Raises:
        InputError: A number is expected, or the stage is unknown.
    """
    found: dict[str, float] = {}
    for text in given:
        name, equals, number = text.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            value = 0.0
        if not 0 < value < float("inf"):
            raise InputError(f"--throughput {text}: expected tokens per second and device, or STAGE=TOKENS")
        if equals and name not in stages:
            raise InputError(f"--throughput {text}: no stage {name!r}; the stages are {', '.join(stages)}")
        found |= dict.fromkeys([name] if equals else stages, value)
    return found


def parse_gpu_memory(gigabytes: float | None) -> int | None:
    """Return `--gpu-memory` in bytes."""
    return None if gigabytes is None else round(gigabytes * 1e9)


def find_measured(text: str | None, runs: Path) -> Run | None:
    """Return the run that `--measured` names; None if it was not given."""
    if text is None:
        return None
    from pipelines.records.runs import find_run

    return find_run(text, runs)
