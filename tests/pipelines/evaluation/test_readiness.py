"""Whether a model is ready for RL."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.errors import InputError
from pipelines.evaluation.readiness import Readiness, judge, percent
from pipelines.evaluation.summarising import summarise
from tests.pipelines.evaluation.making import problem, response, responses


def of(fail: int, mixed: int, solved: int, **fields: Any) -> Readiness:
    outcomes = [(0.0, 0.0)] * fail + [(1.0, 0.0)] * mixed + [(1.0, 1.0)] * solved
    rows = {str(number): each for number, each in enumerate(outcomes)}
    found = responses(rows, **fields)
    return judge(summarise([problem(row) for row in rows], found, name="own", samples=2, temperature=1.0))


def test_counts() -> None:
    readiness = of(20, 41, 39)
    counts = (readiness.always_fail.count, readiness.mixed.count, readiness.always_pass.count)
    assert (*counts, readiness.mixed.of, readiness.varied.count) == (20, 41, 39, 100, 41)
    assert [readiness.once.value, readiness.best.value] == pytest.approx([0.595, 0.8])
    assert readiness.mixed_interval.value == pytest.approx(0.41)


@pytest.mark.parametrize(
    ("counts", "fields", "ready", "advice"),
    [
        ((20, 41, 39), {}, True, "41 % of prompts are mixed: enough for GRPO"),
        ((95, 2, 3), {}, False, "2 % of prompts are mixed, 95 % always fail: take easier rows or more SFT"),
        ((3, 2, 95), {}, False, "2 % of prompts are mixed, 95 % always pass: take harder rows"),
        (
            (80, 10, 10),
            {},
            True,
            "10 % of prompts are mixed, 80 % always fail: select rows by pass_rates, or take easier rows or more SFT",
        ),
        (
            (20, 41, 39),
            {"has_form": False},
            False,
            "0 % of responses have the asked form: more SFT on it, or an example in the prompt",
        ),
        (
            (20, 41, 39),
            {"finish": "length"},
            False,
            "100 % of responses are cut: raise the limit of tokens, or more SFT on shorter answers",
        ),
    ],
)
def test_advice(counts: tuple[int, int, int], fields: dict[str, Any], ready: bool, advice: str) -> None:
    readiness = of(*counts, **fields)
    assert (readiness.ready, readiness.advice) == (ready, advice)


def test_partial_scores_carry_a_gradient() -> None:
    found = [response(row, sample, 0.0, score=0.1 * sample) for row in "abc" for sample in (0, 1)]
    readiness = judge(summarise(map(problem, "abc"), found, name="own", samples=2, temperature=1.0))
    assert readiness.ready
    assert (
        readiness.advice
        == "0 % of prompts are mixed, but on 100 % the scores differ: enough for GRPO if that is not only a bonus"
    )


def test_pass_at_k_without_the_figures() -> None:
    rows: dict[str, list[float | None]] = {"a": [1.0, 0.0, 0.0], "b": [0.0, 0.0, 0.0]}
    summary = summarise(map(problem, rows), responses(rows), name="own", samples=3, temperature=1.0, ks=[2])
    readiness = judge(summary)
    assert [readiness.once.value, readiness.best.value] == pytest.approx([1 / 6, 0.5])


def test_one_sample_is_refused() -> None:
    with pytest.raises(InputError, match="own: one sample per prompt does not show which prompts are mixed"):
        judge(summarise([problem("a")], [response("a")], name="own", samples=1, temperature=0))
    found = [response("a", sample, None, score=1.0) for sample in (0, 1)]
    with pytest.raises(InputError, match="its reward reports no accuracy"):
        judge(summarise([problem("a")], found, name="own", samples=2, temperature=1))


def test_percent_does_not_round_to_the_ends() -> None:
    assert [percent(each) for each in (0.0, 0.001, 0.5, 0.999, 1.0)] == ["0 %", "1 %", "50 %", "99 %", "100 %"]
