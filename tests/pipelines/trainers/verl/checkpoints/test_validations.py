"""Validations row by row, and the intervals of their means."""

from __future__ import annotations

import math
import statistics
from pathlib import Path

import pytest

from pipelines.trainers.verl.checkpoints.validations import half_width, read_validation, save_validation

NAME = "val-aux/{}/accuracy/mean@2"


def test_rows_are_found_again_after_shuffling(tmp_path: Path) -> None:
    save_validation(
        tmp_path / "v", 1, ["a", "b", "a"], ["p", "p", "p"], {"accuracy": [1, 0.5, 0.0], "reward": [2.0, None, 1.0]}
    )
    save_validation(tmp_path / "v", 2, ["a", "a", "b"], ["p", "q", "p"], {"accuracy": [1, 1, True], "text": ["x", "y", "z"]})
    first, second = (read_validation(tmp_path / "v", step) for step in (1, 2))
    (row,) = first["a"]
    assert first == {"a": {row: {"accuracy": 0.5, "reward": 1.5}}, "b": {row: {"accuracy": 0.5}}}
    assert second["a"][row] == second["b"][row] == {"accuracy": 1.0}
    assert len(second["a"]) == 2
    assert read_validation(tmp_path / "v", 3) == {}


def test_values_of_lost_answers_are_left_out(tmp_path: Path) -> None:
    save_validation(tmp_path, 1, ["a", "a"], ["p", "q"], {"accuracy": [1.0, 0.0], "acc_success_only": [1.0]})
    assert all(row.keys() == {"accuracy"} for row in read_validation(tmp_path, 1)["a"].values())


def test_interval_of_one_step() -> None:
    found = {"a": {str(row): {"accuracy": row % 2} for row in range(100)}}
    expected = 1.96 * math.sqrt(statistics.variance([0, 1] * 50) / 100)
    assert half_width(found, [NAME.format("a")]) == pytest.approx(expected)
    both = found | {"b": {str(row): {"accuracy": 0.5} for row in range(10)}}
    assert half_width(both, [NAME.format("a"), NAME.format("b")]) == pytest.approx(expected / 2)


def test_interval_of_a_difference_compares_rows() -> None:
    one = {"a": {str(row): {"accuracy": row % 2} for row in range(100)}}
    same = {"a": {**one["a"], "1": {"accuracy": 0}}}
    other = {"a": {str(row): {"accuracy": (row + 1) % 2} for row in range(100)}}
    name = [NAME.format("a")]
    assert half_width(one, name, one) == 0.0
    narrow, wide = half_width(one, name, same), half_width(one, name, other)
    assert narrow is not None and wide is not None
    assert narrow < 0.02 < 0.19 < wide


@pytest.mark.parametrize(
    "metrics",
    [
        [],
        ["val-core/a/accuracy/best@4/mean"],
        [NAME.format("b")],
        [NAME.format("a"), NAME.format("c")],
        ["val-aux/a/format/mean@1"],
    ],
)
def test_unknown_intervals(metrics: list[str]) -> None:
    found = {"a": {str(row): {"accuracy": float(row)} for row in range(9)}, "c": {"1": {"accuracy": 1.0}}}
    assert half_width(found, metrics) is None
    assert half_width({}, metrics) is None


def test_values_that_are_not_finite_have_no_interval() -> None:
    found = {"a": {"1": {"accuracy": math.nan}, "2": {"accuracy": 1.0}, "3": {"accuracy": 0.0}}}
    assert half_width(found, [NAME.format("a")]) is None
    found["a"]["1"]["accuracy"] = math.inf
    assert half_width(found, [NAME.format("a")]) is None
