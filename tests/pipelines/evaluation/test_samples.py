"""The responses of an evaluation as samples."""

from __future__ import annotations

from pathlib import Path

from pipelines.evaluation.samples import read_samples
from tests.pipelines.evaluation.making import problem, response, write_set


def test_responses_by_problem(tmp_path: Path) -> None:
    found = [
        response("b", 1, 0.5, reason="test 2: expected 1, got 0", share=0.5, has_form=True, finish="length", calls=2),
        response("a", 0, 1.0, prompt_tokens=7),
        response("b", 0, None, failed="KeyError: 'tests'"),
        response("a", 1, 0.0),
    ]
    write_set(tmp_path, [problem("b", data_source="apps"), problem("a")], found, 2, 0.8)
    samples = read_samples(tmp_path)
    assert [(each.group, each.row, each.number) for each in samples] == [(0, "b", 0), (0, "b", 1), (1, "a", 0), (1, "a", 1)]
    broken, half, right, wrong = samples
    assert (broken.reason, broken.values) == ("KeyError: 'tests'", {"failed": 1.0})
    assert (half.source, half.reason, half.cut, half.calls) == ("apps", "test 2: expected 1, got 0", True, 2)
    assert half.values == {"accuracy": 0.5, "tests": 0.5, "format": 1.0}
    assert (right.split, right.prompt, right.truth, right.prompt_tokens, right.tokens) == (
        "evaluation",
        "user\na\n",
        "a",
        7,
        10,
    )
    assert (right.score, wrong.score, wrong.cut) == (1.0, 0.0, False)


def test_some_problems(tmp_path: Path) -> None:
    write_set(tmp_path, [problem("b"), problem("a")], [response("a"), response("b")], 1, 0.0)
    assert [(each.group, each.row) for each in read_samples(tmp_path, ["a", "c"])] == [(0, "a")]


def test_a_folder_without_responses_has_no_samples(tmp_path: Path) -> None:
    assert read_samples(tmp_path) == []
