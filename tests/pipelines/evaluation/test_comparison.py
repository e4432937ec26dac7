"""Comparisons of two evaluations and of a chain."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.errors import InputError
from pipelines.evaluation.chain import read_chain
from pipelines.evaluation.comparison import Comparison, compare
from pipelines.evaluation.summary import Summary, read_summary, write
from tests.pipelines.evaluation.making import evaluation, problem, responses, write_set


def test_paired_difference_by_hand(tmp_path: Path) -> None:
    first = evaluation(tmp_path / "a", {"own": {"1": (1.0, 0.0), "2": (0.0, 0.0), "3": (1.0, 1.0), "4": (1.0, 0.0)}})
    second = evaluation(tmp_path / "b", {"own": {"1": (1.0, 1.0), "2": (1.0, 1.0), "3": (1.0, 1.0), "4": (0.0, 0.0)}})
    comparison = compare(first, second)
    own = comparison.sets["own"]
    once = own.figures["pass@1"]
    assert (once.first, once.second, once.difference.value, once.difference.problems) == (0.5, 0.75, 0.25, 4)
    assert (once.won, once.lost, once.tied) == (2, 1, 1)
    assert once.difference.low < 0 < once.difference.high and not once.difference.has_sign
    assert (own.figures["pass@2"].first, own.figures["pass@2"].second) == (0.75, 0.75)
    assert (comparison.first, comparison.second) == ("a", "b")
    assert Comparison.model_validate_json(comparison.model_dump_json()) == comparison


def test_only_common_problems_are_compared(tmp_path: Path) -> None:
    first = evaluation(
        tmp_path / "a", {"own": {"1": (0.0, 0.0), "2": (0.0, 0.0), "3": (1.0, 1.0), "4": (1.0,)}, "other": {"1": (0.0,)}}
    )
    second = evaluation(tmp_path / "b", {"own": {"2": (1.0, 1.0), "3": (1.0, 1.0), "4": (1.0, 1.0), "5": (0.0, 0.0)}})
    comparison = compare(first, second)
    own = comparison.sets["own"]
    assert (own.problems, own.only_first, own.only_second, own.changed) == (2, 1, 2, 0)
    assert (own.figures["pass@1"].won, own.figures["pass@1"].tied) == (1, 1)
    assert comparison.refused == {"other": f"other: only {first} has it"}


def test_problems_with_another_expected_result_are_not_compared(tmp_path: Path) -> None:
    first = evaluation(tmp_path / "a", {"own": {"1": (0.0,), "2": (0.0,)}}, 0.0)
    rows: dict[str, list[float | None]] = {"1": [1.0], "2": [1.0]}
    problems = [problem("1"), problem("2", ground_truth="another")]
    summary = write_set(tmp_path / "b" / "own", problems, responses(rows), 1, 0.0)
    write(tmp_path / "b", Summary(target="b", model="b", sets={"own": summary}))
    own = compare(first, tmp_path / "b").sets["own"]
    assert (own.problems, own.changed, own.only_first, own.only_second) == (1, 1, 0, 0)


def test_greedy_and_sampled_are_not_compared(tmp_path: Path) -> None:
    rows = {"1": (0.0,), "2": (1.0,)}
    greedy, sampled = evaluation(tmp_path / "a", {"own": rows}, 0.0), evaluation(tmp_path / "b", {"own": rows}, 0.8)
    expected = f"^own: greedy in {greedy}, 1 sample at temperature 0.8 in {sampled}: not comparable; evaluate both at the same"
    with pytest.raises(InputError, match=expected):
        compare(greedy, sampled)


def test_one_set_that_cannot_be_compared(tmp_path: Path) -> None:
    first = evaluation(tmp_path / "a", {"own": {"1": (1.0,)}, "gone": {"1": (1.0,)}}, 0.0)
    second = evaluation(tmp_path / "b", {"own": {"1": (1.0,)}, "gone": {"1": (1.0,)}}, 0.0)
    (second / "gone" / "responses.jsonl").unlink()
    comparison = compare(first, second)
    assert list(comparison.sets) == ["own"]
    assert "responses.jsonl not found; a comparison needs the responses of both" in comparison.refused["gone"]


def test_numbers_of_samples_may_differ(tmp_path: Path) -> None:
    first = evaluation(tmp_path / "a", {"own": {"1": (1.0, 0.0)}})
    second = evaluation(tmp_path / "b", {"own": {"1": (1.0, 1.0, 0.0, 1.0)}})
    assert list(compare(first, second).sets["own"].figures) == ["pass@1", "accuracy", "score"]


def test_nothing_in_common(tmp_path: Path) -> None:
    first = evaluation(tmp_path / "a", {"own": {"1": (1.0,)}})
    with pytest.raises(InputError, match=r"no common set: .*a has own, .*b has theirs$"):
        compare(first, evaluation(tmp_path / "b", {"theirs": {"1": (1.0,)}}))
    with pytest.raises(InputError, match="have no problem in common"):
        compare(first, evaluation(tmp_path / "c", {"own": {"2": (1.0,)}}))


def test_chain(tmp_path: Path) -> None:
    base = evaluation(tmp_path / "base", {"own": {"1": (0.0,), "2": (0.0,)}}, 0.0)
    sft = evaluation(tmp_path / "sft", {"own": {"1": (1.0,), "2": (0.0,)}}, 0.0)
    last = evaluation(tmp_path / "one", {"own": {"1": (1.0,), "2": (1.0,)}}, 0.0)
    links = read_chain([("base", base), ("sft", sft), ("one", last)])
    assert [link.name for link in links] == ["base", "sft", "one"]
    assert links[0].change is links[0].total is links[1].total is None
    assert links[1].change is not None and links[2].total is not None
    assert links[1].change.sets["own"].figures["pass@1"].difference.value == 0.5
    assert links[2].total.sets["own"].figures["pass@1"].difference.value == 1.0
    assert links[2].summary == read_summary(last)
