"""Samples are read from stages that train, are finished, or kept none."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.records.samples import read_headers, read_samples, sample_steps
from pipelines.trainers.base import StagePaths
from pipelines.trainers.samples import Header, write_samples
from tests.pipelines.trainers.test_samples import make_sample


@pytest.fixture
def paths(tmp_path: Path) -> StagePaths:
    """Return a stage with samples of the steps 1, 2 and 10, and of the validations before the training and at 10."""
    paths = StagePaths(tmp_path)
    for step in (10, 1, 2):
        write_samples(paths.samples, "train", step, [make_sample(step=step, number=each) for each in range(3)], 64)
    for step in (0, 10):
        write_samples(paths.samples, "validation", step, [make_sample(split="validation", step=step)], 100)
    return paths


def test_steps_are_in_order(paths: StagePaths) -> None:
    assert sample_steps(paths, "train") == [1, 2, 10]
    assert [(each.step, each.number) for each in read_samples(paths, "train")] == [
        (step, number) for step in (1, 2, 10) for number in range(3)
    ]
    assert [each.step for each in read_samples(paths, "validation")] == [0, 10]


def test_steps_are_chosen(paths: StagePaths) -> None:
    assert [each.step for each in read_samples(paths, "train", range(2, 11))] == [2, 2, 2, 10, 10, 10]
    assert list(read_samples(paths, "train", [7])) == []


def test_written_is_what_is_read(paths: StagePaths) -> None:
    given = make_sample(
        step=4,
        prompt="<b>\x1b[31m\u202e",
        values={"accuracy": 0.5, "failed": 0.0},
        reason="test 3: expected 4, got 5",
        cut=True,
        omitted=7,
        truth='{"tests": []}',
        calls=2,
        prompt_tokens=3,
    )
    write_samples(paths.samples, "train", 4, [given], 8)
    assert list(read_samples(paths, "train", [4])) == [given]


def test_headers_say_how_many_there_are(paths: StagePaths) -> None:
    assert list(read_headers(paths, "train")) == [
        Header(split="train", step=step, samples=3, responses=64) for step in (1, 2, 10)
    ]
    assert [(each.samples, each.responses) for each in read_headers(paths, "validation")] == [(1, 100)] * 2


def test_torn_and_unknown_lines_are_skipped(paths: StagePaths) -> None:
    file = paths.samples / "train/2.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    lines[1] = b'{"step": 2, "prompt": "\xff\n'  # not UTF-8
    lines += [b"\n", b"[]\n", lines[2][:40]]
    file.write_bytes(b"".join(lines))
    assert [each.number for each in read_samples(paths, "train", [2])] == [1, 2]
    assert [each.step for each in read_headers(paths, "train")] == [1, 2, 10]
    file.write_bytes(b"")
    assert list(read_samples(paths, "train", [2])) == []
    assert [each.step for each in read_headers(paths, "train")] == [1, 10]


def test_fields_of_a_later_version_are_skipped(paths: StagePaths) -> None:
    file = paths.samples / "train/2.jsonl"
    file.write_bytes(file.read_bytes().replace(b'"number":', b'"weather":{"sun":1},"number":'))
    assert len(list(read_samples(paths, "train", [2]))) == 3


def test_a_stage_without_samples_has_none(tmp_path: Path) -> None:
    paths = StagePaths(tmp_path / "old")
    assert (sample_steps(paths, "train"), list(read_headers(paths, "train")), list(read_samples(paths, "train"))) == (
        [],
        [],
        [],
    )


def test_files_of_others_are_not_steps(paths: StagePaths) -> None:
    (paths.samples / "train/notes.jsonl").write_text("{}\n")
    (paths.samples / "train/.3.jsonl.1.tmp").write_text("{}\n")
    assert sample_steps(paths, "train") == [1, 2, 10]
