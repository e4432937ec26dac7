"""What conversion costs beside the published way and beside Arrow alone, in one run on the same generated files.

    python benchmarks/conversion.py               # 500,000 bootcamp rows and 100,000 execverify_rl rows
    python benchmarks/conversion.py 0.1           # a tenth of that

Each side is a process of its own that reads JSON lines and writes parquet. The published way runs in a trainer's
environment (`pipeline env sync`), one process; ours is `pipeline data prepare`'s, with the split, the checks and all cores;
the floor is pyarrow reading the JSON lines and writing parquet with no conversion. The bootcamp rows are mixed by a seed on
both sides, as the published script does. Peak memory is that of all processes of a side together, with shared pages counted
once, from a run of its own: looking for it takes time.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parents[1]
SIZES = {"bootcamp": 500_000, "execverify_rl": 100_000}

OURS = """
import json, sys
from pathlib import Path
from preprocess.jobs.prepare import prepare
from preprocess.jobs.prepare_config import read_config
if __name__ == "__main__":
    source = {"converter": sys.argv[1], "source": sys.argv[2]}
    config = {"shape": "rl", "train": [source], "validation": {"fraction": 0.01}, "output": sys.argv[3]}
    config["shuffle"] = sys.argv[1] == "bootcamp"
    summary = prepare(read_config(json.dumps(config)))
    assert sum(summary["rows"].values()) == summary["records"] == int(sys.argv[4]), summary
"""

FLOOR = """
import sys
import pyarrow.json, pyarrow.parquet
pyarrow.parquet.write_table(pyarrow.json.read_json(sys.argv[1]), sys.argv[2], compression="zstd")
"""


@dataclass
class Measured:
    """One run of one side."""

    rows: int
    seconds: float
    peak_mb: float

    @property
    def rate(self) -> float:
        return self.rows / self.seconds


def main(share: float) -> None:
    published = find_python()
    with tempfile.TemporaryDirectory() as folder:
        for kind, size in SIZES.items():
            compare(kind, max(1000, int(size * share)), Path(folder), published)


def compare(kind: str, count: int, folder: Path, published: Path) -> None:
    """Prints a file's table and ratios."""
    source, fifth = folder / f"{kind}.jsonl", folder / f"{kind}-fifth.jsonl"
    generate(kind, count, source)
    generate(kind, count // 5, fifth)
    print(f"\n{kind}: {count:,} rows, {source.stat().st_size / 1e6:,.0f} MB of JSON lines")
    target = folder / "out.parquet"
    script = folder / "ours.py"
    script.write_text(OURS)
    scripted = [sys.executable, str(script), kind]
    sides = {
        "published": measure([str(published), str(ROOT / "benchmarks/published_conversion.py"), kind, source, target], count),
        "ours": measure([*scripted, source, folder / "ours", count], count),
        "ours, a fifth of the rows": measure([*scripted, fifth, folder / "fifth", count // 5], count // 5),
        "floor": measure([sys.executable, "-c", FLOOR, source, target], count),
    }
    for name, side in sides.items():
        print(f"  {name:<26} {side.seconds:>7.2f} s {side.rate:>11,.0f} rows/s {side.peak_mb:>7,.0f} MB at most")
    ours = sides["ours"]
    print(f"  ours / published: {ours.rate / sides['published'].rate:.1f} times the rows per second (at least 5)")
    print(f"  ours / floor:     {ours.seconds / sides['floor'].seconds:.1f} times its wall time (at most 8)")
    source.unlink()


def measure(command: Sequence[object], rows: int) -> Measured:
    """Runs a side twice: once for its time, once for the memory of its processes."""
    seconds, _ = run(command, watched=False)
    _, peak = run(command, watched=True)
    return Measured(rows, seconds, peak / 1e6)


def run(command: Sequence[object], *, watched: bool) -> tuple[float, float]:
    """The wall time, and where it is watched the peak memory in bytes."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_DATASETS_CACHE": tempfile.gettempdir()}
    began, peak = time.perf_counter(), 0.0
    process = subprocess.Popen([str(part) for part in command], env=environment)
    while watched and process.poll() is None:
        peak = max(peak, read_memory(process.pid))
        time.sleep(0.1)
    process.wait()
    seconds = time.perf_counter() - began
    if process.returncode:
        sys.exit(f"{command} ended with {process.returncode}")
    return seconds, peak


def read_memory(number: int) -> float:
    """Proportional set size of a process and its children, in bytes."""
    try:
        process = psutil.Process(number)
        return float(sum(each.memory_full_info().pss for each in [process, *process.children(recursive=True)]))
    except psutil.Error:
        return 0.0


def generate(kind: str, count: int, path: Path) -> None:
    """Writes rows of the published form; the same for a kind and a count."""
    chance = random.Random(f"{kind}:{count}")
    make: Callable[[random.Random, int], dict[str, Any]] = {"bootcamp": make_puzzle, "execverify_rl": make_question}[kind]
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


def find_python() -> Path:
    """A trainer's Python, which has pandas and datasets."""
    python = ROOT / "third_party/llamafactory/environments/cpu/bin/python"
    if not python.exists():
        sys.exit("the published way needs a trainer's environment: pipeline env sync llamafactory")
    return python


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
