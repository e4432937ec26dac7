"""The nearest valid name or path in error messages."""

from __future__ import annotations

from pathlib import Path

import pytest

from rewards.suggestions import any_of, did_you_mean, misspelling, nearest, nearest_path, suggestion

NAMES = ["learning_rate", "norm_adv_by_std", "openai/gsm8k", "seed"]


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("learning_rat", "learning_rate"),
        ("Learning-Rate", "learning_rate"),
        ("norm_adv", "norm_adv_by_std"),
        ("gsm8k", "openai/gsm8k"),
        ("xy", None),
        ("entirely different", None),
        (1, None),
    ],
)
def test_nearest_name(name: object, found: str | None) -> None:
    assert nearest(name, NAMES) == found


def test_too_many_names_are_not_compared() -> None:
    assert nearest("row/1", (f"row/{number}" for number in range(10, 10_010))) is None


def test_hints() -> None:
    assert did_you_mean("sed", NAMES) == suggestion("sed", NAMES) == "; did you mean 'seed'?"
    assert did_you_mean("zzz", NAMES) == ""
    assert suggestion("zzz", ["b", "a", "c"]) == "; expected a, b or c"
    assert suggestion("zzz", []) == suggestion("zzz", map(str, range(100))) == ""
    assert misspelling("seed", ["sed"]) == "; did you mean 'sed'?"
    assert (misspelling("seed", ["b", "a"]), misspelling("seed", [])) == ("; found a, b", "; found none")
    assert [any_of("a"), any_of("ab"), any_of("abc")] == ["a", "a or b", "a, b or c"]


def test_nearest_path(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").touch()
    assert nearest_path(tmp_path / "row.jsonl") == f"; did you mean '{tmp_path}/rows.jsonl'?"
    assert nearest_path(tmp_path / "zzz") == ""
    assert nearest_path(tmp_path / "a" / "b" / "c") == f"; only {tmp_path} exists"
