"""Cost of a network between the workers: GRPO on two hosts with a worker each, against one host with two workers.

The hosts are network namespaces on this machine (root is needed), with nodes of a Ray cluster that runs already. The seconds
are those of the training step of smoke.yaml's stage one, from its record: the time in which one host starts Ray is part of it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.harness import Result, run
from pipelines.environments import environment
from pipelines.records.steps import read_record
from tests.clusters import make_ray_cluster
from tests.real.chain import Chain

NAME = "GRPO, 2 steps, two workers"
SETS = ("--set", "stages.sft.hardware={nodes: 1, gpus_per_node: 1}", "--until", "stage-one")


def measure(given: argparse.Namespace) -> Iterator[Result]:
    """Yield the seconds of the training step on two hosts and on one."""
    verl = environment("verl", "cpu")
    missing = "--quick" if given.quick else verl.why_not_ready()
    if not missing:
        try:
            with tempfile.TemporaryDirectory() as folder:
                two = train_on_two(Path(folder, "two"), verl.python)
                one = train(Chain("smoke.yaml", "smoke", Path(folder, "one")), "--set", "hardware.gpus_per_node=2")
                yield Result(NAME, "s", two, one, "one host", at_most=1.15)
                return
        except pytest.skip.Exception as error:
            missing = str(error)
    yield Result(NAME, "s", at_most=1.15, left_out=missing)


def train_on_two(folder: Path, python: Path) -> float:
    with make_ray_cluster(python) as cluster:
        variables = {**cluster.variables, "RAY_ADDRESS": cluster.address}
        return train(Chain("smoke.yaml", "smoke", folder, cluster.hosts[0], variables), "--set", "hardware.nodes=2")


def train(chain: Chain, *options: str) -> float:
    status, out, err = chain.finish(*options, *SETS)
    if status:
        sys.exit(out + err)
    record = read_record(chain.paths("stage-one").step("train"))
    assert record is not None
    return record.seconds


if __name__ == "__main__":
    run(__doc__, measure)
