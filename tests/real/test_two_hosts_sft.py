"""SFT by either trainer on two hosts with an address each, killed and resumed, against one host with two workers.

All tests use one run on a Ray cluster, and one without, in order.
"""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import ROOT
from tests.clusters import Cluster, make_ray_cluster
from tests.real.chain import Chain, wait_for, wait_until_ended
from tests.real.two_hosts import check_equal_weights, kill_trainer, metric_by_step, on_one_host, on_two_hosts, workers_on

pytestmark = pytest.mark.nightly

RECIPE = """
name: {name}
model: ./model
hardware: {hardware}
defaults:
  sft:
    data:
      train: {converter: programs_code, source: PROGRAMS}
      validation: {fraction: 0.1}
    init_from: ./model
    learning_rate: 0.01
    batch: {per_device: 3, accumulate: 2}
    max_tokens: 512
    keep_best: true
    keep_checkpoints: 1
stages:
  - {name: llamafactory, kind: sft, packing: true, steps: 12, save_every: 3, validate_every: 3}
  - {name: verl, kind: sft, trainer: verl, epochs: 5, save_every: 2, validate_every: 2}
  - {name: alone, kind: sft, trainer: verl, epochs: 1, save_every: 2, validate_every: 2, hardware: {nodes: 1}}
""".replace("PROGRAMS", str(ROOT / "recipes/data/programs.py"))

STAGES = {"llamafactory": "loss", "verl": "train/loss"}


@pytest.fixture(scope="module")
def cluster(trainer_python: Callable[[str], Path], environments: None) -> Iterator[Cluster]:
    with make_ray_cluster(trainer_python("verl")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[Chain]:
    with on_two_hosts(RECIPE, tmp_path_factory.mktemp("sft"), cluster) as chain:
        yield chain


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[Chain]:
    with on_one_host(RECIPE, tmp_path_factory.mktemp("sft"), cluster.python) as chain:
        chain.complete()
        yield chain


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
    started = two.start("--set", "retries=0")
    wait_for(lambda: any(two.paths("llamafactory").checkpoints.glob("checkpoint-*/trainer_state.json")), started)
    assert all(workers_on(cluster, number, two) for number in (0, 1))
    kill_trainer(started)
    _, err = started.communicate()
    assert started.returncode == 1
    assert "llamafactory/train was killed by signal 9" in err
    wait_until_ended(two.directory)


def test_a_lost_worker_of_verls_sft_ends_the_others(two: Chain, cluster: Cluster) -> None:
    started = two.start("--set", "retries=0")
    wait_for(lambda: any(two.paths("verl").checkpoints.glob("*/progress.json")), started)
    workers = [each for each in workers_on(cluster, 1, two) if "verl.trainer.sft_trainer" in each.cmdline()]
    max(workers, key=lambda each: each.create_time()).kill()
    _, err = started.communicate()
    assert started.returncode == 1
    assert "error: verl/train" in err
    log = (two.paths("verl").step("train") / "log").read_text(encoding="utf-8")
    assert re.search(r"error: .*node 1 \(10\.77\.0\.2\) ended with status 1", log)
    wait_until_ended(two.directory)


def test_the_same_command_resumes(two: Chain) -> None:
    assert "resumes from the checkpoint at step " in two.complete()
    wait_until_ended(two.directory)


@pytest.mark.parametrize("stage", STAGES)
def test_weights_equal_those_of_two_workers_on_one_host(two: Chain, one: Chain, cluster: Cluster, stage: str) -> None:
    check_equal_weights(two, one, stage, cluster.python)


@pytest.mark.parametrize("stage", STAGES)
def test_metrics_are_those_of_one_host(two: Chain, one: Chain, stage: str) -> None:
    found, expected = (metric_by_step(chain, stage, STAGES[stage]) for chain in (two, one))
    assert found.keys() == expected.keys()
    assert len(found) == max(found)
    assert found == pytest.approx(expected, rel=1e-3)


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
        ("10.77.0.1:1", "2", r"RAY_ADDRESS 10\.77\.0\.1:1 does not answer: Connection refused"),
        ("10.77.0.1", "2", r"RAY_ADDRESS is '10\.77\.0\.1', expected host:port"),
        ("", "3", r"the Ray cluster at \S+ has 2 nodes \(GPUs: node-0 1, node-1 1\)"),
        ("", "{nodes: 2, gpus_per_node: 2, platform: cpu}", r"the Ray cluster at \S+ has 0 nodes with 2 GPUs or more"),
    ],
)
def test_a_cluster_that_cannot_run_it_is_refused(two: Chain, address: str, sets: str, found: str) -> None:
    variables = {**two.variables, **({"RAY_ADDRESS": address} if address else {})}
    other = Chain(two.recipe, "other", two.runs, two.host, variables)
    key = "hardware.nodes" if sets.isdigit() else "hardware"
    status, _, err = other.finish("--set", "name=other", "--set", f"{key}={sets}")
    assert status == 2
    assert re.search(rf"hardware\.nodes is \d: {found}", err), err
    assert len(err.splitlines()) == 1
    assert not other.directory.exists(), "nothing was started"
