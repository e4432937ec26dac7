"""The files of samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipelines.trainers.base import StagePaths
from pipelines.trainers.samples import LONGEST_RESPONSE, Sample, forget_after, shorten, write_samples


def make_sample(**changes: Any) -> Sample:
    fields: dict[str, Any] = {
        "split": "train",
        "step": 3,
        "source": "apps",
        "row": "apps/7",
        "group": 0,
        "number": 0,
        "prompt": "Add.",
        "response": "def add(): …",
        "score": 0.5,
        "tokens": 9,
    }
    return Sample(**(fields | changes))


def names(paths: StagePaths) -> list[str]:
    return sorted(str(file.relative_to(paths.samples)) for file in paths.samples.rglob("*") if file.is_file())


def test_a_short_text_is_kept() -> None:
    assert shorten("one\ntwo", 7) == ("one\ntwo", 0)


def test_a_megabyte_is_cut_in_the_middle() -> None:
    text, omitted = shorten("begin" + "x" * 1_000_000 + "end")
    assert omitted == 1_000_008 - LONGEST_RESPONSE
    assert text.startswith("beginx") and text.endswith("xend")
    assert f"\n[… {omitted:,} characters left out …]\n" in text
    assert len(text) < LONGEST_RESPONSE + 60


def test_a_lone_surrogate_can_be_written(tmp_path: Path) -> None:
    text, omitted = shorten("a\ud800b")
    assert (text, omitted) == ("a?b", 0)
    write_samples(tmp_path, "train", 3, [make_sample(response=text)], 1)


def test_a_step_that_is_trained_again_replaces_its_file(tmp_path: Path) -> None:
    paths = StagePaths(tmp_path)
    for count in (2, 1):
        write_samples(paths.samples, "train", 3, [make_sample(number=number) for number in range(count)], 8)
    assert names(paths) == ["train/3.jsonl"]
    assert len((paths.samples / "train/3.jsonl").read_text().splitlines()) == 2


def test_a_failed_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = StagePaths(tmp_path)
    write_samples(paths.samples, "train", 3, [make_sample()], 8)
    before = (paths.samples / "train/3.jsonl").read_bytes()

    def fail(self: Path, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="No space left"):
        write_samples(paths.samples, "train", 3, [make_sample(), make_sample()], 8)
    assert names(paths) == ["train/3.jsonl"]
    assert (paths.samples / "train/3.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("step", "left"), [(2, ["train/2.jsonl", "validation/0.jsonl", "validation/2.jsonl"]), (0, []), (4, None)]
)
def test_steps_after_the_checkpoint_are_forgotten(step: int, left: list[str] | None, tmp_path: Path) -> None:
    """A validation of step 0 is before the training; from the beginning, it is done again."""
    paths = StagePaths(tmp_path)
    for split, steps in (("train", (2, 4)), ("validation", (0, 2, 4))):
        for each in steps:
            write_samples(paths.samples, split, each, [make_sample(step=each)], 1)  # type: ignore[arg-type]
    before = names(paths)
    (paths.samples / "train/.5.jsonl.999999999.tmp").write_text("torn by a kill")
    forget_after(paths.samples, step)
    assert names(paths) == (before if left is None else left)


def test_a_stage_without_samples_has_nothing_to_forget(tmp_path: Path) -> None:
    forget_after(StagePaths(tmp_path).samples, 3)
    assert not list(tmp_path.iterdir())
