"""What is wrong with a cluster is one line, from the answer of verl's environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.checks.preflight import find_cluster_problems
from pipelines.environments import environment
from pipelines.recipe.loading import load
from pipelines.run.cluster.connection import find_local_clusters
from pipelines.run.cluster.nodes import choose_cluster
from pipelines.run.scratch import scratch_folder

TWO = [{"address": f"10.0.0.{number}", "host": f"gpu-{number}", "gpus": 8 // number, "cpus": 64} for number in (1, 2)]


@pytest.fixture(autouse=True)
def _address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "before")


def answering(folder: Path, answer: dict[str, Any]) -> Path:
    """Return a program that answers as verl's environment does."""
    program = folder / "python"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(answer)}\nEND\n")
    program.chmod(0o755)
    return program


@pytest.mark.parametrize(
    ("nodes", "gpus", "problem"),
    [
        (2, 4, None),
        (1, 8, None),
        (3, 4, "the Ray cluster at head:6379 has 2 nodes (GPUs: gpu-1 8, gpu-2 4)"),
        (2, 8, "the Ray cluster at head:6379 has 1 node with 8 GPUs or more (GPUs: gpu-1 8, gpu-2 4)"),
    ],
)
def test_the_nodes_with_enough_gpus_are_counted(tmp_path: Path, nodes: int, gpus: int, problem: str | None) -> None:
    assert choose_cluster(answering(tmp_path, {"address": "head:6379", "nodes": TWO}), nodes, gpus) == problem
    assert os.environ["RAY_ADDRESS"] == ("head:6379" if problem is None else "before"), "the trainers use the same cluster"


def test_the_ray_that_a_run_has_started_for_itself_is_no_cluster(tmp_path: Path) -> None:
    """Raylets are processes with these arguments (ray/_private/services.py `start_raylet`)."""
    own = scratch_folder(tmp_path) / "ray" / "session_1"
    options = [("10.9.8.7:1", own), ("10.9.8.7:2", "/tmp/ray/session_2")]
    sleeping = [sys.executable, "-c", "print(flush=True); import time; time.sleep(600)"]
    raylets = []
    try:
        for address, session in options:
            argv = [*sleeping, f"--gcs-address={address}", f"--session-dir={session}"]
            raylets.append(subprocess.Popen(argv, stdout=subprocess.PIPE))
        for each in raylets:
            assert each.stdout is not None and each.stdout.readline()
        assert {each for each in find_local_clusters() if each.startswith("10.9.8.7:")} == {"10.9.8.7:2"}
    finally:
        for each in raylets:
            each.kill()
            each.communicate()


def test_nodes_without_gpus_must_declare_workers(tmp_path: Path) -> None:
    nodes = [{**each, "gpus": 0} for each in TWO]
    assert choose_cluster(answering(tmp_path, {"address": "head:6379", "nodes": nodes}), 2, 1) == (
        "the Ray cluster at head:6379 has 0 nodes with 1 GPU or more (GPUs: gpu-1 0, gpu-2 0); "
        "on a CPU, declare workers by `ray start --num-gpus`"
    )


def test_the_reason_of_the_environment_is_passed_on(tmp_path: Path) -> None:
    reason = "RAY_ADDRESS head:6379 does not answer: Connection refused"
    assert choose_cluster(answering(tmp_path, {"error": reason}), 2, 1) == reason


def test_an_environment_that_fails_is_one_line(tmp_path: Path) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho a traceback >&2\necho 'ModuleNotFoundError: ray' >&2\nexit 1\n")
    program.chmod(0o755)
    assert choose_cluster(program, 2, 1) == "the Ray cluster cannot be asked: ModuleNotFoundError: ray"


def test_each_hardware_is_asked_for_once_at_its_line(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(
        "name: x\nmodel: org/model\n"
        "hardware: {platform: cpu, nodes: 3}\n"
        "defaults:\n  sft:\n    data: {train: {converter: sharegpt, source: org/rows}, validation: {fraction: 0.1}}\n"
        "    steps: 2\n    learning_rate: 0.1\n"
        "stages:\n"
        "  - {name: one, kind: sft}\n"
        "  - {name: two, kind: sft}\n"
        "  - {name: three, kind: sft, hardware: {nodes: 1}}\n"
        "  - {name: four, kind: sft, hardware: {nodes: 5}}\n"
    )
    python = answering(tmp_path, {"address": "head:6379", "nodes": TWO})
    verl = environment("verl", "cpu", python)
    where, has = tmp_path / "x.yaml", "the Ray cluster at head:6379 has 2 nodes (GPUs: gpu-1 8, gpu-2 4)"
    assert find_cluster_problems(load(where), {"verl": verl}) == [
        f"{where}:3: hardware.nodes is 3: {has}",
        f"{where}:13: stages.four.hardware.nodes is 5: {has}",
    ]
    alone = load(where, ["hardware.nodes=1", "stages.four.hardware.nodes=1"])
    assert find_cluster_problems(alone, {}) == []
