"""pass@k, intervals and paired differences against enumeration, simulation and values computed by hand."""

from __future__ import annotations

import random
from itertools import combinations
from statistics import fmean

import pytest

from pipelines.errors import InputError
from pipelines.evaluation import statistics
from pipelines.evaluation.sampling import check_sampling
from pipelines.evaluation.statistics import difference, mean, pass_at_k


@pytest.mark.parametrize("samples", range(1, 8))
def test_pass_at_k_equals_enumeration(samples: int) -> None:
    for passed in range(samples + 1):
        results = [True] * passed + [False] * (samples - passed)
        for k in range(1, samples + 1):
            drawn = [any(each) for each in combinations(results, k)]
            assert pass_at_k(samples, passed, k) == pytest.approx(fmean(drawn), abs=1e-15)


def test_pass_at_k_by_hand() -> None:
    assert pass_at_k(4, 1, 2) == 0.5  # 3 of the 6 pairs have the one that passes
    assert pass_at_k(200, 1, 100) == 0.5
    assert pass_at_k(10, 0, 10) == 0
    assert pass_at_k(10, 1, 10) == 1


def test_pass_at_k_is_stable() -> None:
    assert pass_at_k(100_000, 1, 1) == 1e-5
    assert pass_at_k(10_000, 5_000, 5_000) == 1
    assert pass_at_k(10_000, 3, 5_000) == pytest.approx(1 - 0.5 * 4999 / 9999 * 4998 / 9998, abs=1e-15)


@pytest.mark.parametrize(
    ("samples", "temperature", "ks", "message"),
    [
        (4, 0.8, [1, 5], "pass@5 needs at least 5 samples per problem; found 4"),
        (4, 0.8, [0], "pass@0: expected a k of at least 1"),
        (0, 0.8, [], "samples is 0, expected at least 1"),
        (4, 0.0, [1], "4 samples at temperature 0 are all the same"),
        (1, -1.0, [1], "temperature is -1, expected 0"),
        (1, float("nan"), [1], "temperature is nan, expected 0"),
    ],
)
def test_impossible_sampling(samples: int, temperature: float, ks: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_sampling(samples, temperature, ks)


def test_k_above_the_samples_is_refused() -> None:
    with pytest.raises(InputError, match="pass@11 needs at least 11 samples per problem; found 10"):
        pass_at_k(10, 10, 11)


def test_mean_and_interval_by_hand() -> None:
    """164 problems, 68 solved: the standard error is 0.0385, so the interval is about 0.415 ± 0.075."""
    figure = mean([1.0] * 68 + [0.0] * 96)
    assert (figure.value, figure.problems) == (68 / 164, 164)
    assert figure.low == pytest.approx(0.415 - 0.075, abs=0.01)
    assert figure.high == pytest.approx(0.415 + 0.075, abs=0.01)
    assert figure == mean([1.0] * 68 + [0.0] * 96)


@pytest.fixture
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Enough for coverage, at a fifth of the time."""
    monkeypatch.setattr(statistics, "RESAMPLES", 400)


@pytest.mark.parametrize("truth", [0.25, 0.5])
def test_interval_covers_the_truth(truth: float, few_resamples: None) -> None:
    """Problems whose pass rates vary: about 95 % of the intervals contain the true mean."""
    generator, covered, repeats = random.Random(7), 0, 300
    for _ in range(repeats):
        rates = [generator.betavariate(truth * 2, (1 - truth) * 2) for _ in range(60)]
        values = [fmean(generator.random() < rate for _ in range(4)) for rate in rates]
        figure = mean(values)
        covered += figure.low <= truth <= figure.high
    assert 0.92 <= covered / repeats <= 0.98


def test_paired_interval_covers_the_truth_and_is_narrower(few_resamples: None) -> None:
    generator, covered, repeats = random.Random(11), 0, 300
    for _ in range(repeats):
        hardness = [generator.random() for _ in range(80)]
        first = [float(generator.random() < each * 0.8) for each in hardness]
        second = [max(before, float(generator.random() < 0.2)) for before in first]
        figure = difference(first, second)
        covered += figure.low <= 0.6 * 0.2 <= figure.high
        paired, single = figure.high - figure.low, mean(second)
        assert paired < single.high - single.low
    assert 0.91 <= covered / repeats <= 0.98


def test_equal_values_still_have_an_interval() -> None:
    """0 of 20 solved: a rate above 1 - 0.025 ** (1 / 20) = 0.168 is ruled out (Clopper and Pearson)."""
    none, every = mean([0.0] * 20), mean([1.0] * 20)
    assert [none.low, none.high] == pytest.approx([0, 0.168433], abs=1e-6)
    assert [every.low, every.high] == pytest.approx([0.831567, 1], abs=1e-6)
    tied = difference([1.0] * 10 + [0.0] * 10, [1.0] * 10 + [0.0] * 10)
    assert [tied.low, tied.high] == pytest.approx([-0.168433, 0.168433], abs=1e-6)
    assert not tied.has_sign
    assert [mean([1.0]).low, mean([1.0]).high] == pytest.approx([0.025, 1])
    assert mean([1.1, 1.1], None, None).low == 1.1


def test_difference_has_a_sign_outside_chance() -> None:
    assert difference([0.0] * 100, [1.0] * 30 + [0.0] * 70).has_sign
    assert not difference([1.0, 0.0] * 50, [0.0, 1.0] * 50).has_sign


def test_no_problem() -> None:
    with pytest.raises(InputError, match="no problem to compute a mean of"):
        mean([])
