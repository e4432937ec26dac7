"""GRPO on two hosts with an address each, killed and resumed, against one host with two workers.

All tests use one run on a Ray cluster, and one without, in order.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipelines.records.samples import read_samples
from pipelines.records.steps import read_record
from tests import ROOT
from tests.clusters import Cluster, make_ray_cluster
from tests.real.chain import Chain, wait_for, wait_until_ended
from tests.real.two_hosts import check_equal_weights, kill_trainer, metric_by_step, on_one_host, on_two_hosts, workers_on

pytestmark = pytest.mark.nightly

# The responses of a model with random weights have different scores.
RECIPE = """
name: {name}
model: ./model
hardware: {hardware}
stages:
  - name: grpo
    kind: rl
    algorithm: grpo
    data:
      train: {converter: programs_code, source: ROOT/recipes/data/programs.py}
      validation: {fraction: 0.1}
    reward: {name: tie_break, file: ROOT/pipelines/smoke/tie_break.py}
    steps: 3
    learning_rate: 1.0e-3
    batch: {prompts: 8, mini: 8, micro_per_gpu: 8}
    rollout: {samples: 4, max_prompt_tokens: 320, max_response_tokens: 64}
    save_every: 1
    validate_every: 1
    keep_best: true
    keep_checkpoints: 1
    best_metric: val-core/*/reward/mean@1
""".replace("ROOT", str(ROOT))


@pytest.fixture(scope="module")
def cluster(trainer_python: Callable[[str], Path]) -> Iterator[Cluster]:
    with make_ray_cluster(trainer_python("verl")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[Chain]:
    with on_two_hosts(RECIPE, tmp_path_factory.mktemp("rl"), cluster) as chain:
        yield chain


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[Chain]:
    with on_one_host(RECIPE, tmp_path_factory.mktemp("rl"), cluster.python) as chain:
        chain.complete()
        yield chain


def test_a_killed_driver_of_verls_rl_ends_the_actors_of_both_hosts(two: Chain, cluster: Cluster) -> None:
    started = two.start("--set", "retries=0")
    wait_for((two.paths("grpo").checkpoints / "latest_checkpointed_iteration.txt").exists, started)
    assert all(workers_on(cluster, number, two) for number in (0, 1))
    kill_trainer(started)
    started.communicate()
    assert started.returncode == 1
    wait_until_ended(two.directory)
    out = two.complete()
    wait_until_ended(two.directory)
    assert re.search("resumes from the checkpoint at step [12]", out)


def test_weights_equal_those_of_two_workers_on_one_host(two: Chain, one: Chain, cluster: Cluster) -> None:
    check_equal_weights(two, one, "grpo", cluster.python)
    assert (two.paths("grpo").model / "config.json").exists()


def test_metrics_are_those_of_one_host(two: Chain, one: Chain) -> None:
    found, expected = (metric_by_step(chain, "grpo", "critic/score/mean") for chain in (two, one))
    # A kill between verl's checkpoint and its log loses a step's metrics.
    assert {2, 3} <= found.keys() <= expected.keys() == {1, 2, 3}
    assert found == pytest.approx({step: expected[step] for step in found}, rel=1e-3)


def test_rl_keeps_the_best_checkpoint_and_samples(two: Chain, one: Chain) -> None:
    notes = [record.notes[0] for chain in (two, one) if (record := read_record(chain.paths("grpo").step("train")))]
    assert re.match(r"step \d is exported: best val-core/\*/reward/mean@1", notes[0])
    assert notes[0].partition(":")[0] == notes[1].partition(":")[0]
    best, kept = notes[0].split()[1], {path.name for path in two.paths("grpo").checkpoints.glob("global_step_*")}
    # The best before the last step's validation is kept, too.
    assert kept >= {f"global_step_{best}", "global_step_3"} and len(kept) <= 2
    samples = list(read_samples(two.paths("grpo"), "train"))
    assert {2, 3} <= {each.step for each in samples}
    assert all(each.prompt and each.source for each in samples)
    assert (two.paths("grpo").step("train") / "validations").is_dir()


def test_the_variables_of_the_actors_are_in_the_configuration(two: Chain) -> None:
    settings = YAML(typ="safe").load(two.paths("grpo").step("train") / "train.yaml")
    variables = settings["ray_kwargs"]["ray_init"]["runtime_env"]["env_vars"]
    assert variables["PIPELINE_RUN"] == str(two.directory)
    assert {"VERL_PLATFORM", "PIPELINE_METRICS_FOLDER", "PIPELINE_SHM_PREFIX", "PYTHONPATH"} <= variables.keys()


def test_a_lost_node_ends_like_an_unbroken_run(one: Chain, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Every process of the second host is killed, and its node comes back."""
    with on_two_hosts(RECIPE, tmp_path_factory.mktemp("lost"), cluster) as lost:
        started = lost.start()
        wait_for((lost.paths("grpo").checkpoints / "latest_checkpointed_iteration.txt").exists, started)
        cluster.hosts[1].kill()
        cluster.start_node(cluster.hosts[1])
        out, err = started.communicate()
        print(out, err)
        assert started.returncode == 0, err
        # Whatever notices it first: Ray, or the other worker in the middle of an exchange.
        lost_node, killed = "a node or its Ray process was lost", "one of its processes was killed"
        reason = f"{lost_node}|{killed}|the communication between processes failed"
        assert re.search(rf"grpo/train failed at step \d: ({reason}): .*; resumes from step [12], retry 1 of 3", out + err)
        check_equal_weights(lost, one, "grpo", cluster.python)
