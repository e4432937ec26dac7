"""Run directories made of files, as a run leaves them: for the tests, and for the benchmark of the report."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from pipelines.records.manifest import Manifest, PinEntry, StageEntry, StepEntry, write_manifest
from pipelines.records.steps import StepRecord, write_record
from pipelines.trainers.base import StagePaths
from pipelines.trainers.samples import Sample, Split, write_samples

SFT = "sft"
RL = "stage-one"
_STEPS = ("prepare", "train", "handover")
_PHASES = {"gen": 8.0, "old_log_prob": 1.5, "ref": 1.2, "adv": 0.1, "update_actor": 5.0, "update_weights": 0.4}


def recipe(**fields: Any) -> dict[str, Any]:
    """Return a resolved recipe of two stages."""
    source = {"converter": "programs_execution", "source": "/data/programs.py"}
    return {
        "name": "toy",
        "model": {"make": "qwen2", "vocabulary": 1024},
        "seed": 17,
        "stages": [
            {"name": SFT, "kind": "sft", "data": {"train": [source]}, "steps": 60, "learning_rate": 0.005},
            {
                "name": RL,
                "kind": "rl",
                "algorithm": "grpo",
                "data": {"train": source, "validation": {"fraction": 0.1}},
                "reward": {"name": "white_box", "options": {"format_bonus": 0.1}},
                "steps": 40,
                "learning_rate": 1e-6,
                "batch": {"prompts": 8, "mini": 8},
                "rollout": {"samples": 4, "max_prompt_tokens": 320, "max_response_tokens": 128},
                "verl": {"actor_rollout_ref": {"actor": {"entropy_coeff": 0.01}}},
            },
        ],
        **fields,
    }


def make_run(
    directory: Path,
    *,
    steps: int = 40,
    groups: int = 2,
    per_group: int = 4,
    seed: int = 1,
    others: int = 3,
    given: dict[str, Any] | None = None,
) -> Path:
    """Make a finished run of two stages.

    Args:
        steps: Training steps of the RL stage.
        groups: Prompts of each step with kept samples.
        per_group: Responses to each.
        others: Metrics that no topic names.
        given: Fields of the recipe.
    """
    values = recipe(name=directory.name, **(given or {}))
    directory.mkdir(parents=True)
    (directory / "recipe.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    write_manifest(directory, make_manifest(directory.name))
    for stage in (SFT, RL):
        paths = StagePaths(directory / "stages" / stage)
        for step in _STEPS:
            paths.step(step).mkdir(parents=True)
            write_record(paths.step(step), make_record(step))
        paths.data.mkdir()
        summary = {"records": 130, "rows": {"train": 112, "validation": 14}, "rejected": {"the program does not end": 3}}
        summary |= {"left_out": {"its pass rate is under 0.1": 1}, "contaminated": {}, "held_out": {}}
        (paths.data / "summary.json").write_text(json.dumps(summary))
        paths.model.mkdir()
    write_metrics(directory, SFT, sft_rows(60))
    write_metrics(directory, RL, rl_rows(steps, seed, others))
    link(StagePaths(directory / "stages" / RL), steps)
    make_samples(directory, range(1, steps + 1), groups, per_group, seed)
    return directory


def make_manifest(name: str, **fields: Any) -> Manifest:
    """Return the `run.json` of a run of two stages."""
    return Manifest(
        **{
            "project": "0.3.0",
            "name": name,
            "command": ["pipeline", "run", "toy.yaml"],
            "folder": "/home/user",
            "platform": "cpu",
            "pins": [PinEntry(trainer="verl", version="0.9.1", lock="0123456789abcdef")],
            "stages": [
                StageEntry(name=SFT, kind="sft", trainer="llamafactory", steps=60),
                StageEntry(name=RL, kind="rl", trainer="verl", algorithm="grpo", steps=40),
            ],
            "steps": [
                StepEntry(name=f"{stage}/{step}", title=f"{step} {stage}", stage=stage, folder=f"stages/{stage}/{step}")
                for stage in (SFT, RL)
                for step in _STEPS
            ],
            **fields,
        }
    )


def make_record(step: str, **fields: Any) -> StepRecord:
    """Return the record of a complete step."""
    notes = {"prepare": ["130 records -> 112 training and 14 validation rows"], "train": [], "handover": []}[step]
    return StepRecord(
        **{
            "command": "c",
            "inputs": {},
            "outcome": "complete",
            "started": "2026-11-28T06:38:00+00:00",
            "seconds": 63.0,
            "notes": notes,
            **fields,
        }
    )


def link(paths: StagePaths, step: int) -> None:
    """Make the checkpoint of a step as that which is handed on."""
    folder = paths.checkpoints / f"global_step_{step}"
    (folder / "actor").mkdir(parents=True)
    (folder / "progress.json").write_text(json.dumps({"step": step, "total_steps": step}))
    paths.checkpoint.symlink_to(folder.relative_to(paths.root))


def write_metrics(directory: Path, stage: str, rows: Iterator[dict[str, float]]) -> None:
    """Write the metrics of a stage."""
    path = StagePaths(directory / "stages" / stage).metrics
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def sft_rows(steps: int) -> Iterator[dict[str, float]]:
    """Yield steps as LLaMA-Factory logs them."""
    for step in range(1, steps + 1):
        row = {"step": step, "total_steps": steps, "loss": 6 * math.exp(-step / 20) + 0.5, "lr": 0.005, "epoch": step / 20}
        yield row | ({"eval_loss": 6 * math.exp(-step / 22) + 0.7} if step % 20 == 0 else {})


def rl_rows(steps: int, seed: int = 1, others: int = 3) -> Iterator[dict[str, float]]:
    """Yield steps as verl logs them, with a validation at every tenth."""
    draw = random.Random(seed)
    for step in range(steps + 1):
        score = 1.6 / (1 + math.exp(-6 * (step / max(1, steps) - 0.4)))
        row: dict[str, float] = {"step": step}
        if step:
            noise = draw.gauss(0, 0.12)
            row |= {"training/global_step": step, "training/epoch": step // 20, "actor/lr": 1e-6, "actor/loss": noise / 20}
            row |= {"actor/pg_loss": noise / 20, "actor/kl_loss": 0.001 * step + abs(noise) / 100, "actor/ppo_kl": noise / 100}
            row |= {"actor/entropy": 0.9 - 0.5 * step / max(1, steps) + noise / 10, "actor/grad_norm": 0.4 + abs(noise)}
            row |= {"actor/pg_clipfrac": abs(noise) / 20, "actor/pg_clipfrac_lower": 0.0}
            for name, value in (
                ("score", score + noise),
                ("rewards", score + noise - 0.05),
                ("advantages", noise),
                ("returns", noise),
            ):
                row |= {f"critic/{name}/mean": value, f"critic/{name}/max": value + 0.5, f"critic/{name}/min": value - 0.6}
            length = 180 - 90 * step / max(1, steps) + 20 * noise
            row |= {"response_length/mean": length, "response_length/max": 256, "response_length/min": length / 3}
            row |= {"response_length/clip_ratio": abs(noise) / 3, "prompt_length/mean": 90, "prompt_length/max": 140}
            row |= {"num_turns/mean": 2 + abs(noise), "num_turns/max": 4, "num_turns/min": 2, "prompt_length/min": 30}
            row |= {f"timing_s/{name}": seconds * (1 + noise / 3) for name, seconds in _PHASES.items()}
            row |= {"timing_s/step": sum(_PHASES.values()) * (1 + noise / 3), "perf/throughput": 800 + 300 * noise}
            row |= {"actor/perf/max_memory_allocated_gb": 0.0, "actor/perf/cpu_memory_used_gb": 7.4}
            row |= {f"rollout_corr/extra_{number}": noise * (number + 1) for number in range(others)}
        if step % 10 == 0:
            for source, share in (("gsm8k", 1.0), ("programs", 0.8)):
                row |= {
                    f"val-core/{source}/reward/mean@1": share * score,
                    f"val-aux/{source}/accuracy/mean@1": share * score / 1.7,
                }
            row |= {"val-aux/programs/has_accuracy/mean@1": 1.0}
        yield row


def make_samples(directory: Path, steps: Sequence[int], groups: int, per_group: int, seed: int = 1) -> None:
    """Write samples of training steps, and of every tenth validation."""
    folder, draw = StagePaths(directory / "stages" / RL).samples, random.Random(seed)
    for step in steps:
        found = [
            sample(
                step,
                group=group,
                number=number,
                score=round(draw.random() * (0.5 + step / (2 * len(steps))) * (group % 5 > 0), 3),
            )
            for group in range(groups)
            for number in range(per_group)
        ]
        write_samples(folder, "train", step, found, 32)
        if step % 10 == 0:
            write_samples(folder, "validation", step, [sample(step, split="validation", group=0)], 4)


_PROMPT = "Complete the function so that it returns the sum of the digits of `number`.\n\n```python\ndef digits(number):\n```\n"
_RESPONSE = (
    "<reasoning>\nThe digits are those of the decimal text.\n</reasoning>\n```python\ndef digits(number):\n    {}\n```\n"
)


def sample(step: int, *, split: Split = "train", group: int = 0, number: int = 0, score: float = 0.5, **fields: Any) -> Sample:
    """Return a sample."""
    right = score > 0.5
    body = "return sum(map(int, str(abs(number))))" if right else "return sum(map(int, str(number)))"
    return Sample(
        **{
            "split": split,
            "step": step,
            "source": "programs" if group % 2 else "gsm8k",
            "row": f"row-{step % 13}-{group}",
            "group": group,
            "number": number,
            "prompt": _PROMPT,
            "response": _RESPONSE.format(body),
            "score": score,
            "values": {"accuracy": float(right), "format": 1.0, "failed": 0.0},
            "reason": "" if right else "test 3 of 7: digits(-12): expected 3, found ValueError",
            "tokens": 40 + number,
            "truth": "digits(-12) == 3",
            **fields,
        }
    )
