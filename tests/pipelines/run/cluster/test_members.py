"""A cluster is asked for its nodes; where it needs a token, the error says so."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import ROOT
from tests.clusters import Cluster, make_ray_cluster

pytestmark = pytest.mark.nightly


@pytest.fixture(scope="module")
def cluster(trainer_python: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    token = tmp_path_factory.mktemp("token") / "token"
    token.write_text(64 * "a")
    variables = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token)}
    with make_ray_cluster(trainer_python("verl"), 1, gpus=3, variables=variables) as cluster:
        yield cluster


def ask(cluster: Cluster, **variables: str) -> Any:
    without = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    argv = cluster.hosts[0].command(str(cluster.python), "-m", "pipelines.run.cluster.members")
    env = {**without, "RAY_ADDRESS": cluster.address, "PYTHONPATH": str(ROOT), "HOME": str(cluster.folder), **variables}
    done = subprocess.run(argv, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_nodes_of_a_cluster(cluster: Cluster) -> None:
    assert ask(cluster, **cluster.variables) == {
        "address": cluster.address,
        "nodes": [{"address": "10.77.0.1", "host": "node-0", "gpus": 3, "cpus": 12}],
    }


@pytest.mark.parametrize("mode", ["token", ""])
def test_a_missing_token_is_one_line(cluster: Cluster, mode: str) -> None:
    answer = ask(cluster, **({"RAY_AUTH_MODE": mode} if mode else {}))
    assert set(answer) == {"error"}
    assert answer["error"].startswith(f"the Ray cluster at {cluster.address} refuses a connection: it needs its token; set ")


def test_an_address_that_is_no_cluster_is_one_line(cluster: Cluster) -> None:
    answer = ask(cluster, RAY_ADDRESS="local")
    assert answer == {"error": "RAY_ADDRESS is 'local', which is no cluster; expected host:port"}
