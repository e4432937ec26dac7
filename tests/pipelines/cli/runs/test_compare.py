"""`pipeline compare`."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from pipelines.records.comparison import RunComparison
from tests.pipelines.conftest import Call
from tests.pipelines.evaluation.making import evaluation
from tests.pipelines.records.making import make_run, write_training


@pytest.fixture
def two(here: Path) -> Path:
    """Two runs with evaluations; the second one is better, and has one more."""
    for name, right in (("one", 0.0), ("two", 1.0)):
        directory = make_run(here / "runs" / name).directory
        evaluation(directory / "evaluations" / "sft", {"own": {"1": (right,), "2": (1.0,)}}, 0.0)
    evaluation(here / "runs/two/evaluations/sft@0", {"own": {"1": (0.0,)}}, 0.0)
    second = here / "runs" / "two"
    (second / "recipe.yaml").write_text((second / "recipe.yaml").read_text().replace("steps: 450", "steps: 300"))
    write_training(second, "sft", [{"step": 300, "loss": 0.5}])
    return here


def test_recipes_metrics_and_evaluations(two: Path, call: Call) -> None:
    code, out, err = call("compare", "one", "two")
    assert code == 0
    assert out.splitlines()[:4] == [
        "key\tfirst\tsecond",
        "name\tone\ttwo",
        "stages.sft.steps\t450\t300",
        "stage\tmetric\tfirst\tsecond\tbest of first\tbest of second",
    ]
    assert "sft\tsteps\t450/450\t300/450\t\t" in out and "sft\ttime\t4:04\t4:04\t\t" in out
    assert "sft\tloss\t0.02222\t0.5\t0.02222 at 450\t0.5 at 300" in out
    assert "rl\tcritic/score/mean\t0.8\t0.8\t0.8 at 4\t0.8 at 4" in out
    assert "own\tpass@1\t50.0\t100.0\t+50.0 (" in out
    assert "first: runs/one; second: runs/two" in err and "evaluation of sft\n" in err
    assert "evaluation of sft@0 not compared: only runs/two has it" in err


def test_json(two: Path, call: Call) -> None:
    code, out, err = call("compare", "one", "runs/two", "--json")
    found = msgspec.json.decode(out.encode(), type=RunComparison)
    assert (code, err, json.loads(out)["version"]) == (0, "", 1)
    assert [each.key for each in found.recipe] == ["name", "stages.sft.steps"]
    assert found.evaluations["sft"]["sets"]["own"]["problems"] == 2
    assert list(found.refused) == ["sft@0"]


def test_runs_of_every_kind(two: Path, call: Call) -> None:
    for name in ("whole", "old", "broken", "torn", "one"):
        code, out, _ = call("compare", "one", name)
        assert code == 0 and "sft\tloss\t" in out


def test_a_run_is_the_same_as_itself(two: Path, call: Call) -> None:
    _, out, err = call("compare", "one", "one")
    assert "the recipes are the same" in err and out.startswith("stage\tmetric")


def test_a_damaged_evaluation_is_not_compared(two: Path, call: Call) -> None:
    (two / "runs/one/evaluations/sft/summary.json").write_text('{"version": 1')
    _, _, err = call("compare", "one", "two")
    assert "evaluation of sft not compared: runs/one/evaluations/sft/summary.json is damaged" in err
