"""The estimated memory of trainings on the CPU, compared with the measured one: SFT by both trainers, and GRPO.

A model of 50 million weights with a vocabulary of 32,768 is trained for two steps. Measured is the peak of all processes of the
run: the memory of each, what they share, and once the files that they map. Estimated is what `pipeline estimate` prints for the
stage, for the longest row of the run. Needs both environments and 8 GB.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil

from benchmarks.harness import ROOT, Result, run
from pipelines.environments import environment
from pipelines.estimates.memory import estimate_memory
from pipelines.estimates.shapes import read_shape
from pipelines.recipe.loading import load
from pipelines.recipe.schema import RlStage
from pipelines.run.plan import stage_paths
from pipelines.run.process import end_orphans, find_processes
from pipelines.run.scratch import remove_scratch, scratch_folder

# Tokens that no text has fill the tokenizer up to the vocabulary: the random model samples them, too.
MODEL = """
import json, sys
from pathlib import Path
from pipelines.models.tiny import make, read_config
config = json.loads(sys.argv[1])
make(read_config(config))
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
folder = config["output"]
path = Path(folder, "tokenizer.json")
tokenizer = json.loads(path.read_text())
tokenizer["model"]["vocab"] |= {f"x{token}": token for token in range(len(AutoTokenizer.from_pretrained(folder)), 32768)}
path.write_text(json.dumps(tokenizer))
larger = AutoConfig.from_pretrained(folder)
larger.vocab_size = 32768
AutoModelForCausalLM.from_config(larger).save_pretrained(folder)
"""
SIZES = {"make": "qwen2", "vocabulary": 1024, "hidden_size": 512, "layers": 6, "heads": 8, "max_tokens": 1024, "seed": 1}

_FIELD = re.compile(r"^(\w+):\s+(\d+) kB$", re.MULTILINE)
_STATUS = re.compile(r"^(VmHWM|VmRSS|RssFile):\s+(\d+) kB", re.MULTILINE)

_DATA = f"""
    data:
      train: {{converter: programs_code, source: {ROOT}/recipes/data/programs.py}}
      validation: {{fraction: 0.1}}
    steps: 2
    learning_rate: 1.0e-4"""
STAGES = {
    "SFT by LLaMA-Factory": f"""
  - name: sft
    kind: sft{_DATA}
    batch: {{per_device: 8}}
    max_tokens: 512""",
    "SFT by verl": f"""
  - name: sft
    kind: sft
    trainer: verl{_DATA}
    batch: {{per_device: 8}}
    max_tokens: 512""",
    "GRPO": f"""
  - name: rl
    kind: rl
    algorithm: grpo{_DATA}
    reward: {{name: tie_break, file: {ROOT}/pipelines/smoke/tie_break.py}}
    batch: {{prompts: 4, mini: 4, micro_per_gpu: 8}}
    rollout: {{samples: 4, max_prompt_tokens: 512, max_response_tokens: 128}}""",
    "GRPO with LoRA": f"""
  - name: rl
    kind: rl
    algorithm: grpo{_DATA}
    lora: {{rank: 16}}
    reward: {{name: tie_break, file: {ROOT}/pipelines/smoke/tie_break.py}}
    batch: {{prompts: 4, mini: 4, micro_per_gpu: 8}}
    rollout: {{samples: 4, max_prompt_tokens: 512, max_response_tokens: 128}}""",
}


class TrainingFailedError(Exception):
    """A training failed; the message is the first line of its error."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--only", choices=STAGES, action="append", help="measure only this training; repeat it for several")
    parser.add_argument("--bound", type=float, default=0.2, help="allowed relative error (0.2)")


def measure(given: argparse.Namespace) -> Iterator[Result]:
    verl, llamafactory = environment("verl", "cpu"), environment("llamafactory", "cpu")
    for name in given.only or STAGES:
        needed = llamafactory if name.endswith("LLaMA-Factory") else verl
        if given.quick or not (needed.is_ready() and verl.is_ready()):
            reason = "--quick" if given.quick else "its environment is not built"
            yield Result(name, "MB", against="measured", left_out=reason)
            continue
        with tempfile.TemporaryDirectory(prefix="memory-") as folder:
            path = write_recipe(Path(folder), name)
            try:
                measured = watch(path, Path(folder)) / 1e6
            except TrainingFailedError as error:
                yield Result(name, "MB", against="measured", left_out=f"it failed: {error}")
                continue
            estimated = predict(path, Path(folder)) / 1e6
        bounds = {"at_least": 1 - given.bound, "at_most": 1 + given.bound}
        yield Result(name, "MB", estimated, measured, "measured", is_count=True, **bounds)


def write_recipe(folder: Path, name: str) -> Path:
    """Make a model and write the recipe of a training."""
    config = json.dumps(SIZES | {"rows": [], "output": str(folder / "model")})
    verl = environment("verl", "cpu")
    variables = {**os.environ, **verl.variables, "PYTHONPATH": str(ROOT)}
    subprocess.run([str(verl.python), "-c", MODEL, config], check=True, env=variables, capture_output=True)
    path = folder / "memory.yaml"
    path.write_text(f"name: memory\nmodel: ./model\nhardware: {{platform: cpu}}\nstages:{STAGES[name]}\n", encoding="utf-8")
    return path


def predict(path: Path, runs: Path) -> int:
    """Return the estimated bytes of a recipe's only stage, with the longest row of the run instead of the limit."""
    recipe = load(path).recipe
    (stage,) = recipe.stages
    shape = read_shape(str(recipe.model))
    assert shape is not None
    counted = json.loads(stage_paths(runs / "memory", stage.name).prompts.read_text(encoding="utf-8"))
    longest = counted["files"]["train"]["longest"]
    if isinstance(stage, RlStage):
        stage = stage.model_copy(update={"rollout": stage.rollout.model_copy(update={"max_prompt_tokens": longest})})
    else:
        stage = stage.model_copy(update={"max_tokens": longest})
    return estimate_memory(stage, recipe.hardware, "cpu", shape).host.bytes


def watch(path: Path, runs: Path) -> int:
    """Run a recipe; return the peak of its processes in bytes, without `pipeline run` itself."""
    directory = runs / "memory"
    argv = [str(Path(sys.executable).with_name("pipeline")), "run", str(path), "--runs", str(runs)]
    started = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    peak = 0
    try:
        while started.poll() is None:
            peak = max(peak, total_size(find_processes(directory)))
            time.sleep(0.2)
    finally:
        started.terminate()
        _, errors = started.communicate()
        end_orphans(directory)
        remove_scratch(scratch_folder(directory))
    if started.returncode:
        raise TrainingFailedError(errors.strip().partition("\n")[0])
    return peak


def total_size(processes: Iterable[psutil.Process]) -> int:
    """Return the memory of processes: their own, the memory that they share, and once the mapped files.

    The largest peak of a process that lay between two looks is added: the kernel keeps each process's.
    """
    own, files, missed = 0, 0, 0
    for process in processes:
        try:
            fields = dict(_FIELD.findall(Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii")))
            status = dict(_STATUS.findall(Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")))
        except OSError:
            continue  # it has ended
        own += int(fields.get("Pss_Anon", 0)) + int(fields.get("Pss_Shmem", 0))
        files = max(files, int(status.get("RssFile", 0)))
        missed = max(missed, int(status.get("VmHWM", 0)) - int(status.get("VmRSS", 0)))
    return (own + files + missed) * 1024


if __name__ == "__main__":
    run(__doc__, measure, add_arguments)
