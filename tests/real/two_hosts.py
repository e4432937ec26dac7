"""Two hosts of a Ray cluster, and one host with two workers: the same recipe on both, and their comparison."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from pipelines.records.steps import read_record
from tests import ROOT
from tests.clusters import Cluster
from tests.real.chain import Chain, make_chain

MODEL = {"make": "qwen2", "vocabulary": 512, "hidden_size": 64, "layers": 1, "heads": 1, "max_tokens": 512, "seed": 1}

# Prints the largest difference of two checkpoints' weights, in 32 bits, and the largest weight.
COMPARE = """
import sys
from pathlib import Path
import torch
from safetensors.torch import load_file

def read(folder):
    weights = {}
    for path in [*folder.glob("model.safetensors"), *folder.rglob("model_world_size_2_rank_*.pt")]:
        found = load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=False)
        for name, value in found.items():
            weights[path.name, name] = getattr(value, "_local_tensor", value)
    return weights

left, right = map(read, map(Path, sys.argv[1:]))
assert left and left.keys() == right.keys(), (left.keys(), right.keys())
assert all(value.dtype is torch.float32 for value in left.values())
print(max(float((value - right[name]).abs().max()) for name, value in left.items() if value.numel()))
print(max(float(value.abs().max()) for value in left.values() if value.numel()))
"""


@contextmanager
def on_two_hosts(recipe: str, folder: Path, cluster: Cluster) -> Iterator[Chain]:
    """Provide runs of a recipe on a cluster of two hosts with a worker each; `{name}` and `{hardware}` are replaced."""
    path = _write(recipe, folder, "two", "{platform: cpu, nodes: 2}", cluster.python)
    variables = {**cluster.variables, "RAY_ADDRESS": cluster.address}
    with make_chain(str(path), "two", folder / "two", cluster.hosts[0], variables) as chain:
        yield chain


@contextmanager
def on_one_host(recipe: str, folder: Path, python: Path) -> Iterator[Chain]:
    """Provide runs of a recipe on this machine with two workers."""
    path = _write(recipe, folder, "one", "{platform: cpu, gpus_per_node: 2}", python)
    with make_chain(str(path), "one", folder / "one") as chain:
        yield chain


def _write(recipe: str, folder: Path, name: str, hardware: str, python: Path) -> Path:
    """Write a recipe and make its model, `./model`."""
    place = folder / name
    place.mkdir()
    (place / "model.json").write_text(json.dumps({**MODEL, "rows": [], "output": str(place / "model")}))
    make = [str(python), "-m", "pipelines.models.tiny", str(place / "model.json")]
    subprocess.run(make, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True)
    path = place / "recipe.yaml"
    path.write_text(recipe.replace("{name}", name).replace("{hardware}", hardware))
    return path


def workers_on(cluster: Cluster, number: int, chain: Chain) -> list[psutil.Process]:
    """Return the processes of the run on a host."""
    found = [psutil.Process(pid) for pid in cluster.hosts[number].processes()]
    return [each for each in found if each.environ().get("PIPELINE_RUN") == str(chain.directory)]


def kill_trainer(started: subprocess.Popen[str]) -> None:
    """Kill -9 the command of the current step: the launcher of SFT, the driver of RL."""
    (supervisor,) = psutil.Process(started.pid).children()
    supervisor.children()[0].kill()


def check_equal_weights(two: Chain, one: Chain, stage: str, python: Path) -> None:
    """Compare the weights that a stage hands over, before they are rounded; print the largest difference and the times."""
    checkpoints = [str(chain.paths(stage).checkpoint.resolve()) for chain in (two, one)]
    done = subprocess.run([str(python), "-c", COMPARE, *checkpoints], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    difference, largest = map(float, done.stdout.split())
    print(f"{stage}: largest difference {difference:.2g}, largest weight {largest:.2g}")
    seconds = [record.seconds for chain in (two, one) if (record := read_record(chain.paths(stage).step("train")))]
    print(f"{stage}: two hosts {seconds[0]:.0f} s with every attempt, one {seconds[1]:.0f} s")
    assert difference < 1e-4 * largest


def metric_by_step(chain: Chain, stage: str, name: str) -> dict[int, float]:
    """Return a metric of a stage's steps that have it."""
    rows = [json.loads(line) for line in chain.paths(stage).metrics.read_text().splitlines()]
    return {row["step"]: row[name] for row in rows if name in row}
