"""Summaries: hand-computed figures, bad input, files of other versions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipelines.errors import InputError
from pipelines.evaluation.measures import count_bands
from pipelines.evaluation.records import Problem, Response
from pipelines.evaluation.summarising import default_ks, summarise, summarise_folder
from pipelines.evaluation.summary import SetSummary, read_summary
from tests.pipelines.evaluation.making import evaluation, problem, response, responses


def of(problems: list[Problem], found: list[Response], samples: int, temperature: float = 0.8) -> SetSummary:
    return summarise(problems, found, name="own", samples=samples, temperature=temperature)


def test_figures_by_hand() -> None:
    rows = {"a": (1.0, 0.0, 0.0, 1.0), "b": (0.0,) * 4, "c": (1.0,) * 4, "d": (0.5, 1.0, 0.5, 0.5)}
    summary = of([problem(row) for row in rows], responses(rows), 4)
    figures = summary.overall.figures
    assert list(figures) == ["pass@1", "pass@4", "accuracy", "score"]
    assert figures["pass@1"].value == pytest.approx((0.5 + 0 + 1 + 0.25) / 4)
    assert figures["pass@4"].value == 0.75
    assert figures["accuracy"].value == pytest.approx((0.5 + 0 + 1 + 0.625) / 4)
    assert summary.overall.passed == {0: 1, 1: 1, 2: 1, 4: 1}
    assert (summary.overall.varied.count, summary.overall.varied.share) == (2, 0.5)
    assert (summary.metric, summary.figure("pass@1").problems) == ("pass@1", 4)
    with pytest.raises(InputError, match="own has no figure 'pass@8'; did you mean"):
        summary.figure("pass@8")


def test_responses_are_described() -> None:
    found = [
        response("a", 0, 1.0, has_form=True, tokens=10, share=1.0),
        response("a", 1, 0.0, has_form=False, tokens=90, share=0.2, finish="length"),
        response("b", 0, 0.0, has_form=True, tokens=20, share=0.1, finish="turns", calls=4),
        response("b", 1, None, tokens=40, failed="sandbox is gone"),
    ]
    overall = of([problem("a"), problem("b")], found, 2).overall
    assert (overall.cut.count, overall.cut.of, overall.failed.count) == (2, 4, 1)
    assert overall.has_form is not None and (overall.has_form.count, overall.has_form.of) == (2, 3)
    assert (overall.tokens.mean, overall.tokens.median, overall.tokens.p90, overall.tokens.max) == (40, 30, 90, 90)
    assert overall.calls == 1
    assert overall.bands == {"very poor": 2, "poor": 1, "fair": 0, "good": 0, "excellent": 1}
    assert overall.figures["tests"].value == pytest.approx((0.6 + 0.05) / 2)  # the failed one counts as 0
    assert overall.figures["pass@1"].value == 0.25


def test_bands() -> None:
    assert list(count_bands([0, 0.19, 0.2, 0.4, 0.6, 0.79, 0.8, 1.0]).values()) == [2, 1, 1, 2, 2]


def test_groups_by_tag() -> None:
    problems = [
        problem("a", tags={"difficulty": "easy"}),
        problem("b", tags={"difficulty": "hard", "topic": "trees"}),
        problem("c"),
    ]
    groups = of(problems, responses({"a": [1.0], "b": [0.0], "c": [1.0]}), 1, 0.0).groups
    assert {tag: [*values] for tag, values in groups.items()} == {"difficulty": ["easy", "hard"], "topic": ["trees"]}
    easy = groups["difficulty"]["easy"].figures["pass@1"]
    assert (easy.value, easy.problems, easy.high) == (1.0, 1, 1.0)


def test_problems_without_an_accuracy_are_not_averaged() -> None:
    problems = [problem("a"), problem("b", data_source="graded")]
    overall = of(problems, responses({"a": [1.0, 1.0], "b": [None, None]}), 2).overall
    assert (overall.figures["pass@1"].value, overall.figures["pass@1"].problems, overall.problems) == (1.0, 1, 2)
    only_scores = of([problem("b")], [response("b", 0, None, score=1.5)], 1, 0.0)
    assert (only_scores.metric, only_scores.figure("score").value, only_scores.overall.passed) == ("score", 1.5, None)


def test_incomplete_problems_are_counted_and_left_out() -> None:
    rows = {"a": (1.0, 1.0), "b": (1.0,), "c": ()}
    summary = of([problem(row) for row in rows], responses(rows), 2)
    assert (summary.incomplete.count, summary.incomplete.of, summary.overall.problems) == (2, 3, 1)
    assert summary.overall.cut.of == 2


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ([response("row-1")], r"^x\.jsonl:1: no problem has the row 'row-1'; did you mean 'row-2'\?$"),
        ([response("a", 0), response("a", 0)], r"^x\.jsonl:2: a second sample 0 of row 'a'$"),
        ([response("a", 2)], r"^x\.jsonl:1: sample 2 of row 'a'; expected 0 to 1: 2 per problem$"),
        ([], r"^x\.jsonl: none of the 2 problems of own has 2 scored responses$"),
        ([response("a", 0)], "none of the 2 problems"),
        ([response("a", n, failed="no tests") for n in (0, 1)], "none of the 2 responses could be scored: no tests"),
    ],
)
def test_responses_that_do_not_match(found: list[Response], message: str) -> None:
    with pytest.raises(InputError, match=message):
        summarise([problem("a"), problem("row-2")], found, name="own", samples=2, temperature=1, where="x.jsonl")


def test_other_mistakes() -> None:
    with pytest.raises(InputError, match="row 'a' occurs twice"):
        of([problem("a"), problem("a")], [], 1)
    with pytest.raises(InputError, match="pass@2 needs at least 2 samples"):
        summarise([problem("a")], [response("a")], name="own", samples=1, temperature=0, ks=[2])
    with pytest.raises(InputError, match="own has no figure 'pas@1'; did you mean 'pass@1'"):
        summarise([problem("a")], [response("a")], name="own", samples=1, temperature=0, metric="pas@1")


def test_default_ks() -> None:
    assert [default_ks(samples) for samples in (1, 4, 10, 200)] == [[1], [1, 4], [1, 10], [1, 10, 100, 200]]


def test_summary_is_read_back(tmp_path: Path) -> None:
    folder = evaluation(tmp_path / "base", {"own": {"a": (1.0, 0.0), "b": (0.0, 0.0)}}, has_form=True, share=0.5)
    summary = read_summary(folder)
    one = summary.set("own")
    assert one == summarise_folder(folder / "own", samples=2, temperature=0.8)
    assert one.overall.passed == {0: 1, 1: 1}
    assert one == SetSummary.model_validate_json((folder / "own" / "summary.json").read_text())
    with pytest.raises(InputError, match="base was not evaluated on 'pwn'; did you mean 'own'"):
        summary.set("pwn")


def test_unreadable_summaries(tmp_path: Path) -> None:
    folder = evaluation(tmp_path / "base", {"own": {"a": (1.0,)}}, 0.0)
    path = folder / "summary.json"
    found = json.loads(path.read_text())
    with pytest.raises(InputError, match=r"evaluation .*bse not found; did you mean '.*base'"):
        read_summary(tmp_path / "bse")
    path.write_text(json.dumps({**found, "version": 2, "sets": None}))
    with pytest.raises(InputError, match=r"summary\.json has version 2, of a later release; this one reads version 1$"):
        read_summary(folder)
    path.write_text(json.dumps({**found, "sets": {"own": {}}}))
    with pytest.raises(InputError, match=r"summary\.json is damaged: sets\.own\.name: Field required"):
        read_summary(folder)
    path.write_text('{"version"')
    with pytest.raises(InputError, match=r"summary\.json is damaged: the file"):
        read_summary(folder)
    path.unlink()
    with pytest.raises(InputError, match="not an evaluation, or not finished"):
        read_summary(folder)


def test_broken_record_is_one_line(tmp_path: Path) -> None:
    evaluation(tmp_path / "base", {"own": {"a": (1.0,)}}, 0.0)
    (tmp_path / "base" / "own" / "responses.jsonl").write_text('{"row": 1}\n')
    with pytest.raises(InputError, match=r"responses\.jsonl:1: not a response"):
        summarise_folder(tmp_path / "base" / "own", samples=1, temperature=0)
