"""Which rows validate, and that nothing but seed, share and problem decides it."""

from pathlib import Path

import pytest

from preprocess.engine.splits import Share, Whole, find_files
from preprocess.errors import SourceError

NAMES = [f"problem {n}" for n in range(4000)]


def _held(rule: Share, names: list[str]) -> set[str]:
    return {name for name in names if rule.choose(rule.digest(name)) == "validation"}


def test_the_share_is_about_right_and_the_seed_matters() -> None:
    held = _held(Share.of(0.1, 17), NAMES)
    assert 320 < len(held) < 480
    assert held != _held(Share.of(0.1, 18), NAMES)


def test_a_problem_stays_where_it_is_when_others_come() -> None:
    rule = Share.of(0.3, 17)
    assert _held(rule, NAMES[:50]) == _held(rule, NAMES) & set(NAMES[:50])
    assert _held(Share.of(0.1, 17), NAMES) < _held(rule, NAMES)


def test_a_moved_limit_leaves_a_problem_on_each_side() -> None:
    for fraction in (1e-9, 1 - 1e-9):
        rule = Share.of(fraction, 17)
        digests = {rule.digest(name) for name in NAMES[:5]}
        low, high = rule.report(digests)
        moved = rule.move(low, high)
        assert {moved.choose(digest) for digest in digests} == {"train", "validation"}


def test_a_whole_side_leaves_out_the_other_sides_problems() -> None:
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
def test_files_say_what_they_are_for(tmp_path: Path, names: list[str], held: list[str]) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    assert find_files(tmp_path, "validation") == [tmp_path / name for name in held]
    assert sorted(find_files(tmp_path, "train") + find_files(tmp_path, "validation")) == find_files(tmp_path, None)


def test_a_file_that_says_nothing_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text("{}")
    with pytest.raises(SourceError, match=r"rows.jsonl: neither its name nor a folder contains train, test or validation"):
        find_files(tmp_path, "train")
