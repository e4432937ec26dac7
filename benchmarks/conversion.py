"""Cost of converting rows, compared with the published scripts and with Arrow alone, on the same generated files.

Each side is a separate process that reads JSON lines and writes parquet:

  ours             `preprocess.jobs.prepare`, with split, checks and all cores
  published way    benchmarks/published_conversion.py in LLaMA-Factory's environment, one process
  pyarrow          pyarrow reads the JSON lines and writes parquet, without any conversion

Both sides shuffle the bootcamp rows, as the published script does. Peak memory is that of all processes of a side together,
with shared pages counted once; it comes from a second run, because watching takes time. Memory must not grow with the rows.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.harness import ROOT, Result, run
from pipelines.environments import detected_platform, environment

SIZES = {"bootcamp": 500_000, "execverify_rl": 100_000}
QUICK_ROWS = 1000

ARROW = """
import sys
import pyarrow.json, pyarrow.parquet
pyarrow.parquet.write_table(pyarrow.json.read_json(sys.argv[1]), sys.argv[2], compression="zstd")
"""


@dataclass(frozen=True)
class Side:
    """One side's time and peak memory."""

    seconds: float
    megabytes: float


def add_arguments(parser: argparse.ArgumentParser) -> None:
    sizes = " and ".join(f"{count:,} {kind}" for kind, count in SIZES.items())
    parser.add_argument("--share", type=float, default=1.0, help=f"share of {sizes} rows (default: 1)")


def measure(given: argparse.Namespace) -> Iterator[Result]:
    """Yield the figures for each kind of rows."""
    trainer = environment("llamafactory", detected_platform())
    missing = "--quick" if given.quick else trainer.why_not_ready() or ""
    with tempfile.TemporaryDirectory() as folder:
        for kind, size in SIZES.items():
            rows = QUICK_ROWS if given.quick else max(QUICK_ROWS, int(size * given.share))
            yield from compare(kind, rows, Path(folder), trainer.python, missing, run_once if given.quick else run_twice)


def compare(
    kind: str, rows: int, folder: Path, python: Path, missing: str, run_side: Callable[[Sequence[object]], Side]
) -> Iterator[Result]:
    source, target, fifth = (folder / f"{kind}{suffix}" for suffix in (".jsonl", ".parquet", "-fifth.jsonl"))
    generate(kind, rows, source)
    generate(kind, rows // 5, fifth)
    published = None
    if not missing:
        published = run_side([python, ROOT / "benchmarks/published_conversion.py", kind, source, target])
    ours = run_side(prepare_command(kind, source, folder / f"{kind}-ours"))
    smaller = run_side(prepare_command(kind, fifth, folder / f"{kind}-fifth"))
    arrow = run_side([sys.executable, "-c", ARROW, source, target])
    name, theirs = f"{rows:,} {kind} rows", published or Side(0.0, 0.0)
    rate = rows / theirs.seconds if published else None
    yield Result(name, "rows/s", rows / ours.seconds, rate, "published way", at_least=5, left_out=missing)
    yield Result(name, "s", ours.seconds, arrow.seconds, "pyarrow", at_most=8)
    memory = theirs.megabytes if published else None
    yield Result(f"{name}, peak memory", "MB", ours.megabytes, memory, "published way", left_out=missing)
    yield Result(f"{name}, peak memory", "MB", ours.megabytes, smaller.megabytes, "ours, a fifth of the rows")
    source.unlink()


def prepare_command(kind: str, source: Path, output: Path) -> list[object]:
    """Write a configuration; return the command that prepares a source's rows."""
    settings = {
        "shape": "rl",
        "train": [{"converter": kind, "source": str(source)}],
        "validation": {"fraction": 0.01},
        "shuffle": kind == "bootcamp",
        "output": str(output),
    }
    file = output.with_suffix(".json")
    file.write_text(json.dumps(settings), encoding="utf-8")
    return [sys.executable, "-m", "preprocess.jobs.prepare", file]


def run_once(command: Sequence[object]) -> Side:
    """Run a command once; watching its memory makes it slower."""
    seconds, peak = run_command(command, watched=True)
    return Side(seconds, peak / 1e6)


def run_twice(command: Sequence[object]) -> Side:
    """Run a command once for its time and once for its memory."""
    seconds, _ = run_command(command, watched=False)
    _, peak = run_command(command, watched=True)
    return Side(seconds, peak / 1e6)


def run_command(command: Sequence[object], *, watched: bool) -> tuple[float, float]:
    """Return the wall time and, if watched, the peak memory in bytes."""
    variables = os.environ | {"PYTHONPATH": str(ROOT), "HF_DATASETS_CACHE": tempfile.gettempdir()}
    start, peak = time.perf_counter(), 0.0
    process = subprocess.Popen([str(part) for part in command], env=variables, stdout=subprocess.DEVNULL)
    while watched and process.poll() is None:
        peak = max(peak, read_memory(process.pid))
        time.sleep(0.1)
    process.wait()
    seconds = time.perf_counter() - start
    if process.returncode:
        sys.exit(f"{command} ended with {process.returncode}")
    return seconds, peak


def read_memory(number: int) -> float:
    """Return the proportional set size of a process and its children, in bytes."""
    try:
        process = psutil.Process(number)
        return float(sum(each.memory_full_info().pss for each in [process, *process.children(recursive=True)]))
    except psutil.Error:
        return 0.0


def generate(kind: str, count: int, path: Path) -> None:
    """Write rows in the published format; the same for a kind and a count."""
    chance = random.Random(f"{kind}:{count}")
    make = {"bootcamp": make_puzzle, "execverify_rl": make_question}[kind]
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            file.write(json.dumps(make(chance, number), ensure_ascii=False) + "\n")


def make_puzzle(chance: random.Random, number: int) -> dict[str, Any]:
    numbers = " ".join(str(chance.randint(0, 13)) for _ in range(5))
    prompt = (
        f"Use the numbers {numbers} with addition, subtraction, multiplication and division to get {number}.\n"
        "Let's think step by step and output the final answer within \\boxed{}. The final answer should be all input numbers "
        "with basic operations, and parentheses can be used to change the order of operations. "
        'For example "Final Answer: \\boxed{6+6+(6+6)}".'
    )
    return {"data_source": "Game24", "prompt": prompt, "ground_truth": {"puzzle": numbers, "target": number}}


def make_question(chance: random.Random, number: int) -> dict[str, Any]:
    lines = [f"    value_{line} = (total + {chance.randint(1, 99)}) * {line + 1}" for line in range(8)]
    code = "\n".join([f"def compute_{number}(total):", *lines, "    return value_7"])
    questions = [f"Which line is executed right after line {line} has been executed for the 1st time?" for line in range(2, 7)]
    questions += [f"What are value and type of value_{line} after line {line + 2}?" for line in range(5)]
    values = [str(chance.randint(1, 10**6)) for _ in range(8)]
    return {
        "type": "io_mixed",
        "func_str": code,
        "func_name": f"compute_{number}",
        "func_args": str(chance.randint(1, 99)),
        "result": values[7],
        "prompt_str": "\n".join(["Read the function and answer.", code, *questions, "Answer line by line."]),
        "question_answers": {
            "path_answers": [[line.strip()] for line in lines[1:6]],
            "state_as": [[["int", value]] for value in values[:5]],
        },
        "questions": questions,
        "trace_events": [
            {"line": line + 2, "event": "line", "locals": {f"value_{each}": values[each] for each in range(line)}}
            for line in range(8)
        ],
    }


if __name__ == "__main__":
    run(__doc__, measure, add_arguments)
