"""The samples of a stage: which are shown, and their figures."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.reports.sampling import StageSamples, choose, count_text
from pipelines.trainers.base import StagePaths
from pipelines.trainers.samples import Sample, write_samples
from tests.pipelines.reports.making import sample


def write(paths: StagePaths, step: int, scores: list[list[float]], **fields: object) -> None:
    """Write the samples of a step: groups of scores."""
    found = [
        sample(step, group=group, number=number, score=score, **fields)  # type: ignore[arg-type]
        for group, given in enumerate(scores)
        for number, score in enumerate(given)
    ]
    write_samples(paths.samples, "train", step, found, len(found))


@pytest.fixture
def paths(tmp_path: Path) -> StagePaths:
    return StagePaths(tmp_path)


def test_health(paths: StagePaths) -> None:
    write(paths, 1, [[0, 0], [0, 1]])
    write(paths, 2, [[1, 1], [0.5, 1]], cut=True, values={"failed": 1.0, "format": 0.0})
    samples = StageSamples(paths, 10**6)
    samples.update()
    found = samples.health(0, "rl")
    assert found is not None
    assert (found.steps, found.responses, found.groups, found.constant) == (2, 8, 4, 2)
    assert (found.failed, found.cut, found.formed) == (4, 4, 4)
    assert found.causes[0].text == "test 3 of 7: digits(-12): expected 3, found ValueError"
    assert samples.tracks["samples/constant"].ys == [0.5, 0.5]
    assert samples.tracks["samples/failed"].ys == [0.0, 1.0]
    assert samples.tracks["samples/value/accuracy"].xs == [1], "a value that only some steps have"


def test_each_file_is_read_once(paths: StagePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    real = StageSamples._add

    def add(self: StageSamples, step: int, samples: list[Sample]) -> None:
        read.append(step)
        real(self, step, samples)

    monkeypatch.setattr(StageSamples, "_add", add)
    samples = StageSamples(paths, 10**6)
    write(paths, 1, [[0, 1]])
    samples.update()
    samples.update()
    write(paths, 2, [[0, 1]])
    samples.update()
    assert read == [1, 2]
    (paths.samples / "train" / "2.jsonl").unlink()
    write(paths, 3, [[0, 1]])
    samples.update()
    assert read == [1, 2, 1, 3], "a step that is trained again replaces all"
    assert samples.total == 4


def test_choice_within_the_budget(paths: StagePaths) -> None:
    for step in range(1, 101):
        write(paths, step, [[0.1, 0.2, 0.9], [0.5, 0.5, 0.5]], response="x" * 2000)
    samples = StageSamples(paths, 10**8)
    samples.update()
    assert len(samples.choose(10**8)) == 600
    assert count_text(samples.choose(10**8), 600) == "all 600 samples that the run kept"
    some = samples.choose(600_000)
    assert sum(each.size for each in some) <= 600_000
    assert {each.sample.step for each in some} == set(range(1, 101)), "every step"
    assert {each.sample.score for each in some if each.sample.step == 7} == {0.9, 0.1}, "the best and the worst first"
    assert count_text(some, 600) == "200 of the 600 samples that the run kept: at most 2 of each step and split"
    few = samples.choose(60_000)
    assert 0 < sum(each.size for each in few) <= 60_000
    steps = [each.sample.step for each in few]
    assert steps == list(range(steps[0], 101, steps[0])), "steps of one distance"


def test_failed_samples_come_first(paths: StagePaths) -> None:
    found = [sample(1, number=number, score=0.4) for number in range(20)]
    found.append(sample(1, number=20, score=0.0, values={"failed": 1.0}))
    write_samples(paths.samples, "train", 1, found, 21)
    samples = StageSamples(paths, 10**6)
    samples.update()
    assert choose(samples.choose(10**6), 10**6)[0].sample.number == 20


def test_memory_is_bounded(paths: StagePaths) -> None:
    samples = StageSamples(paths, 100_000)
    for step in range(1, 200):
        write(paths, step, [[0.1, 0.2], [0.5, 0.5]], response="x" * 3000)
        samples.update()
        assert samples._size <= 2 * 100_000
    assert samples.total == 796


def test_no_samples(paths: StagePaths) -> None:
    samples = StageSamples(paths, 10**6)
    samples.update()
    assert (samples.health(0, "rl"), samples.choose(100), samples.total) == (None, [], 0)
