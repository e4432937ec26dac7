"""The split into training and validation depends only on seed, share and problem."""

from pathlib import Path

import pytest

from preprocess.engine.splits import Share, Whole, find_files
from preprocess.errors import SourceError

NAMES = [f"problem {n}" for n in range(4000)]


def _held(rule: Share, names: list[str]) -> set[str]:
    return {name for name in names if rule.choose(rule.digest(name)) == "validation"}


def test_share_and_seed_choose_the_validation_problems() -> None:
    held = _held(Share.of(0.1, 17), NAMES)
    assert 320 < len(held) < 480
    assert held != _held(Share.of(0.1, 18), NAMES)


def test_other_problems_do_not_move_a_problem() -> None:
    rule = Share.of(0.3, 17)
    assert _held(rule, NAMES[:50]) == _held(rule, NAMES) & set(NAMES[:50])
    assert _held(Share.of(0.1, 17), NAMES) < _held(rule, NAMES)


def test_move_leaves_a_problem_in_each_split() -> None:
    for fraction in (1e-9, 1 - 1e-9):
        rule = Share.of(fraction, 17)
        digests = {rule.digest(name) for name in NAMES[:5]}
        low, high = rule.report(digests)
        moved = rule.move(low, high)
        assert {moved.choose(digest) for digest in digests} == {"train", "validation"}


def test_whole_excludes_validation_problems_from_training() -> None:
    validation = Whole("validation")
    digests = validation.report({validation.digest("a")})
    train = Whole("train", frozenset(digests))
    assert [train.choose(train.digest(name)) for name in ("a", "b")] == [None, "train"]
    assert train.report({train.digest("b")}) == []


@pytest.mark.parametrize(
    ("names", "held"),
    [
        (["train/a.jsonl", "test/a.jsonl"], ["test/a.jsonl"]),
        (["train-00000-of-2.parquet", "validation-00000-of-1.parquet"], ["validation-00000-of-1.parquet"]),
        (["Game24_train.jsonl", "Game24_eval.jsonl"], ["Game24_eval.jsonl"]),
        (["test/training.jsonl", "test/x.jsonl"], ["test/x.jsonl"]),
    ],
)
def test_split_from_file_names(tmp_path: Path, names: list[str], held: list[str]) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    assert find_files(tmp_path, "validation") == [tmp_path / name for name in held]
    assert sorted(find_files(tmp_path, "train") + find_files(tmp_path, "validation")) == find_files(tmp_path, None)


def test_file_name_without_a_split_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("{}")
    with pytest.raises(SourceError, match=r"rows.jsonl: neither its name nor a folder contains train, test or validation"):
        find_files(tmp_path, "train")
