"""Nodes that are lost while the processes of a run are ended on all of them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


class _RayError(Exception):
    pass


class _RayTaskError(_RayError):
    pass


class FakeCluster:
    """Nodes, each with what it answers; `lists` are the names of those that are alive, one per look."""

    def __init__(self, lists: list[list[str]], answers: dict[str, list[str] | Exception]) -> None:
        self._lists, self._answers = lists, answers
        self.asked: list[str] = []

    def nodes(self) -> list[dict[str, Any]]:
        """Return all nodes, the last list again when it was the last."""
        alive = self._lists.pop(0) if len(self._lists) > 1 else self._lists[0]
        return [{"NodeID": each, "NodeManagerAddress": f"host of {each[0]}", "Alive": each in alive} for each in self._answers]

    def get(self, name: str) -> list[str]:
        """Return the answer of a node."""
        self.asked.append(name)
        answer = self._answers[name]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def remote(self, _: Callable[..., object]) -> Any:
        """Return a function whose tasks are the names of the nodes on which they run."""
        return SimpleNamespace(
            options=lambda **options: SimpleNamespace(remote=lambda directory: options["scheduling_strategy"])
        )


Sweep = Callable[[FakeCluster, float], dict[str, list[str]]]
"""`(cluster, seconds in which it may notice a loss)` -> the names of the ended processes by address."""

LONG = 600.0


@pytest.fixture
def sweep_nodes(monkeypatch: pytest.MonkeyPatch) -> Sweep:
    """Return the function, which needs Ray, for a cluster that loses nodes at moments of our choice."""

    def sweep(cluster: FakeCluster, seconds: float) -> dict[str, list[str]]:
        ray, strategies = ModuleType("ray"), ModuleType("ray.util.scheduling_strategies")
        exceptions = SimpleNamespace(RayError=_RayError, RayTaskError=_RayTaskError)
        vars(ray).update(nodes=cluster.nodes, get=cluster.get, remote=cluster.remote, exceptions=exceptions)
        vars(strategies)["NodeAffinitySchedulingStrategy"] = lambda name, soft: name
        modules = {"ray": ray, "ray.util": ModuleType("ray.util"), "ray.util.scheduling_strategies": strategies}
        for name, module in modules.items():
            monkeypatch.setitem(sys.modules, name, module)
        monkeypatch.delitem(sys.modules, "pipelines.run.cluster.sweep", raising=False)
        module = importlib.import_module("pipelines.run.cluster.sweep")
        monkeypatch.delitem(sys.modules, "pipelines.run.cluster.sweep")
        monkeypatch.setattr(module, "_LOOK_SECONDS", 0.0)
        monkeypatch.setattr(module, "_UNNOTICED_SECONDS", seconds)
        found: dict[str, list[str]] = module.sweep_nodes("run")
        return found

    return sweep


def test_every_node_is_swept_once(sweep_nodes: Sweep) -> None:
    cluster = FakeCluster([["a", "b"]], {"a": ["python"], "b": [], "c": ["dead before"]})
    assert sweep_nodes(cluster, LONG) == {"host of a": ["python"]}
    assert cluster.asked == ["a", "b"]


def test_a_node_that_is_lost_meanwhile_is_left_out(sweep_nodes: Sweep) -> None:
    cluster = FakeCluster([["a", "b"], ["a", "b"], ["a"]], {"a": ["python"], "b": _RayError("it does not exist any more")})
    assert sweep_nodes(cluster, LONG) == {"host of a": ["python"]}
    assert cluster.asked == ["a", "b", "b"]


def test_a_loss_that_is_noticed_late_is_no_error(sweep_nodes: Sweep) -> None:
    cluster = FakeCluster([["a", "b"], ["a"]], {"a": ["python"], "b": _RayError("it does not exist any more")})
    assert sweep_nodes(cluster, 0.0) == {"host of a": ["python"]}


def test_a_node_that_comes_back_is_swept(sweep_nodes: Sweep) -> None:
    answers: dict[str, list[str] | Exception] = {"a": ["python"], "b": _RayError("it is lost"), "b again": ["vllm"]}
    cluster = FakeCluster([["a", "b"], ["a", "b again"]], answers)
    assert sweep_nodes(cluster, LONG) == {"host of a": ["python"], "host of b": ["vllm"]}


@pytest.mark.parametrize("error", [_RayError("it never answers"), _RayTaskError("it cannot read a process")])
def test_a_node_that_stays_and_cannot_be_swept_is_an_error(sweep_nodes: Sweep, error: Exception) -> None:
    with pytest.raises(type(error), match=str(error)):
        sweep_nodes(FakeCluster([["a", "b"]], {"a": [], "b": error}), 0.0)
