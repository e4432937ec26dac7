"""SFT by either trainer and GRPO on two hosts with an address each, killed and resumed, against one host with two workers.

All tests use one run on a Ray cluster, and one without, in order.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from pipelines.records.samples import read_samples
from pipelines.records.steps import read_record
from tests import ROOT
from tests.clusters import Cluster, make_ray_cluster
from tests.real.chain import Chain, make_chain, wait_for, wait_until_ended

pytestmark = pytest.mark.nightly

MODEL = {"make": "qwen2", "vocabulary": 512, "hidden_size": 64, "layers": 1, "heads": 1, "max_tokens": 512, "seed": 1}

RECIPE = f"""
name: {{name}}
model: ./model
hardware: {{hardware}}
defaults:
  sft:
    data:
      train: {{{{converter: programs_code, source: {ROOT}/recipes/data/programs.py}}}}
      validation: {{{{fraction: 0.1}}}}
    init_from: ./model
    learning_rate: 0.01
    batch: {{{{per_device: 3, accumulate: 2}}}}
    max_tokens: 512
    keep_best: true
    keep_checkpoints: 1
stages:
  - {{{{name: llamafactory, kind: sft, packing: true, steps: 12, save_every: 3, validate_every: 3}}}}
  - {{{{name: verl, kind: sft, trainer: verl, epochs: 5, save_every: 2, validate_every: 2}}}}
  - {{{{name: alone, kind: sft, trainer: verl, epochs: 1, save_every: 2, validate_every: 2, hardware: {{{{nodes: 1}}}}}}}}
  - name: grpo
    kind: rl
    algorithm: grpo
    init_from: verl
    data:
      train: {{{{converter: programs_code, source: {ROOT}/recipes/data/programs.py}}}}
      validation: {{{{fraction: 0.1}}}}
    reward: {{{{name: code_tests, options: {{{{format_bonus: 0.1}}}}}}}}
    steps: 3
    learning_rate: 1.0e-3
    batch: {{{{prompts: 8, mini: 8, micro_per_gpu: 8}}}}
    rollout: {{{{samples: 4, max_prompt_tokens: 320, max_response_tokens: 64}}}}
    save_every: 1
    validate_every: 1
    keep_best: true
    keep_checkpoints: 1
    best_metric: val-core/*/reward/mean@1
"""

STAGES = ("llamafactory", "verl", "grpo")

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


@pytest.fixture(scope="module")
def cluster(trainer_python: Callable[[str], Path]) -> Iterator[Cluster]:
    with make_ray_cluster(trainer_python("verl")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, environments: None, trainer_python: Callable[[str], Path]) -> Path:
    folder = tmp_path_factory.mktemp("cluster")
    for name, hardware in (("two", "{platform: cpu, nodes: 2}"), ("one", "{platform: cpu, gpus_per_node: 2}")):
        place = folder / name
        place.mkdir()
        (place / "model.json").write_text(json.dumps({**MODEL, "rows": [], "output": str(place / "model")}))
        make = [str(trainer_python("verl")), "-m", "pipelines.models.tiny", str(place / "model.json")]
        subprocess.run(make, check=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True)
        (place / "recipe.yaml").write_text(RECIPE.format(name=name, hardware=hardware))
    return folder


@pytest.fixture(scope="module")
def two(folder: Path, cluster: Cluster) -> Iterator[Chain]:
    variables = {**cluster.variables, "RAY_ADDRESS": cluster.address}
    with make_chain(str(folder / "two" / "recipe.yaml"), "two", folder / "two", cluster.hosts[0], variables) as chain:
        yield chain


@pytest.fixture(scope="module")
def one(folder: Path) -> Iterator[Chain]:
    with make_chain(str(folder / "one" / "recipe.yaml"), "one", folder / "one") as chain:
        chain.complete()
        yield chain


def workers_on(cluster: Cluster, number: int, chain: Chain) -> list[psutil.Process]:
    """Return the processes of the run on a host."""
    found = [psutil.Process(pid) for pid in cluster.hosts[number].processes()]
    return [each for each in found if each.environ().get("PIPELINE_RUN") == str(chain.directory)]


def kill_trainer(started: subprocess.Popen[str]) -> None:
    (supervisor,) = psutil.Process(started.pid).children()
    supervisor.children()[0].kill()


def test_ctrl_c_ends_both_hosts(two: Chain, cluster: Cluster) -> None:
    started = two.start()
    logs = [two.paths("llamafactory").step("train") / "nodes" / f"node-{number}.log" for number in (0, 1)]
    wait_for(lambda: all(log.exists() and log.stat().st_size for log in logs), started)
    assert all(workers_on(cluster, number, two) for number in (0, 1))
    started.send_signal(signal.SIGINT)
    _, err = started.communicate()
    assert started.returncode == 130
    assert "stopped; resume with: pipeline run" in err
    wait_until_ended(two.directory)


def test_killed_sft_of_llamafactory_ends_on_both_hosts(two: Chain, cluster: Cluster) -> None:
    started = two.start()
    wait_for(lambda: any(two.paths("llamafactory").checkpoints.glob("checkpoint-*/trainer_state.json")), started)
    assert all(workers_on(cluster, number, two) for number in (0, 1))
    kill_trainer(started)
    _, err = started.communicate()
    assert started.returncode == 1
    assert "llamafactory/train was killed by signal 9" in err
    wait_until_ended(two.directory)


def test_a_lost_worker_of_verls_sft_ends_the_others(two: Chain, cluster: Cluster) -> None:
    started = two.start()
    wait_for(lambda: any(two.paths("verl").checkpoints.glob("*/progress.json")), started)
    workers = [each for each in workers_on(cluster, 1, two) if "verl.trainer.sft_trainer" in each.cmdline()]
    max(workers, key=lambda each: each.create_time()).kill()
    _, err = started.communicate()
    assert started.returncode == 1
    assert re.search(r"verl/train ended with status 1: error: .*node 1 \(10\.77\.0\.2\) ended with status 1", err)
    wait_until_ended(two.directory)


def test_a_killed_driver_of_verls_rl_ends_the_actors_of_both_hosts(two: Chain, cluster: Cluster) -> None:
    started = two.start()
    wait_for((two.paths("grpo").checkpoints / "latest_checkpointed_iteration.txt").exists, started)
    assert all(workers_on(cluster, number, two) for number in (0, 1))
    kill_trainer(started)
    started.communicate()
    assert started.returncode == 1
    wait_until_ended(two.directory)
    out = two.complete()
    wait_until_ended(two.directory)
    assert "resumes from the checkpoint at step 1" in out


@pytest.mark.parametrize("stage", STAGES)
def test_weights_equal_those_of_two_workers_on_one_host(two: Chain, one: Chain, cluster: Cluster, stage: str) -> None:
    checkpoints = [str(chain.paths(stage).checkpoint.resolve()) for chain in (two, one)]
    done = subprocess.run([str(cluster.python), "-c", COMPARE, *checkpoints], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    difference, largest = map(float, done.stdout.split())
    print(f"{stage}: largest difference {difference:.2g}, largest weight {largest:.2g}")
    assert difference < 1e-4 * largest
    seconds = [record.seconds for chain in (two, one) if (record := read_record(chain.paths(stage).step("train")))]
    print(f"{stage}: two hosts {seconds[0]:.0f} s with a kill, one {seconds[1]:.0f} s")


@pytest.mark.parametrize("stage", STAGES)
def test_metrics_are_those_of_one_host(two: Chain, one: Chain, stage: str) -> None:
    rows = [[json.loads(line) for line in chain.paths(stage).metrics.read_text().splitlines()] for chain in (two, one)]
    name = {"llamafactory": "loss", "verl": "train/loss", "grpo": "critic/score/mean"}[stage]
    values = [{row["step"]: row[name] for row in chain if name in row} for chain in rows]
    # A kill between verl's checkpoint and its log loses a step's metrics.
    assert values[0].keys() == values[1].keys() or stage == "grpo"
    assert len(values[0]) >= 2
    for step, value in values[0].items():
        assert value == pytest.approx(values[1][step], rel=1e-3)


def test_rl_keeps_the_best_checkpoint_and_samples(two: Chain, one: Chain) -> None:
    notes = [record.notes[0] for chain in (two, one) if (record := read_record(chain.paths("grpo").step("train")))]
    assert re.match(r"step \d is exported: val-core/\*/reward/mean@1", notes[0])
    assert notes[0].partition(":")[0] == notes[1].partition(":")[0]
    best, kept = notes[0].split()[1], {path.name for path in two.paths("grpo").checkpoints.glob("global_step_*")}
    assert kept == {f"global_step_{best}", "global_step_3"}
    samples = list(read_samples(two.paths("grpo"), "train"))
    assert {each.step for each in samples} == {1, 2, 3}
    assert all(each.prompt and each.source for each in samples)
    assert (two.paths("grpo").step("train") / "validations").is_dir()


def test_the_variables_of_the_actors_are_in_the_configuration(two: Chain) -> None:
    text = (two.paths("grpo").step("train") / "train.yaml").read_text()
    for name in ("VERL_PLATFORM", "PIPELINE_METRICS_FOLDER", "PIPELINE_SHM_PREFIX", "PYTHONPATH", "PIPELINE_RUN"):
        assert f"          {name}: " in text


@pytest.mark.parametrize("stage", ["llamafactory", "verl"])
def test_the_log_has_the_lines_of_every_rank(two: Chain, stage: str) -> None:
    for rank in (0, 1):
        done = subprocess.run(
            ["pipeline", "logs", str(two.directory), stage, "--rank", str(rank)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert len(done.stdout.splitlines()) > 3


def test_a_stage_of_one_node_starts_no_program_of_the_cluster(two: Chain) -> None:
    assert "pipelines.run.cluster" not in (two.paths("alone").step("train") / "command.sh").read_text()
    assert (two.paths("alone").model / "config.json").exists()


def test_a_complete_run_is_skipped(two: Chain) -> None:
    assert all(line.endswith("done before") for line in two.complete().splitlines() if line.startswith("["))


@pytest.mark.parametrize(
    ("address", "sets", "found"),
    [
        ("10.77.0.1:1", [], r"RAY_ADDRESS 10\.77\.0\.1:1 does not answer: Connection refused"),
        ("10.77.0.1", [], r"RAY_ADDRESS is '10\.77\.0\.1', expected host:port"),
        (
            "",
            ["--set", "hardware.nodes=3"],
            r"hardware\.nodes is 3: the Ray cluster at \S+ has 2 nodes \(GPUs: node-0 1, node-1 1\)",
        ),
        (
            "",
            ["--set", "hardware.gpus_per_node=2"],
            r"hardware\.nodes is 2: the Ray cluster at \S+ has 0 nodes with 2 GPUs or more",
        ),
    ],
)
def test_a_cluster_that_cannot_run_it_is_refused(two: Chain, address: str, sets: list[str], found: str) -> None:
    other = Chain(two.recipe, "other", two.runs, two.host, {**two.variables, **({"RAY_ADDRESS": address} if address else {})})
    status, _, err = other.finish("--set", "name=other", *sets)
    assert status == 2
    assert re.search(rf"recipe\.yaml:\d+: {found}" if not sets else found, err), err
    assert len(err.splitlines()) == 1
    assert not other.directory.exists(), "nothing was started"
