"""rejection_sampled: which responses of an evaluation become SFT rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from pipelines.evaluation.records import Problem, Response
from preprocess.converters import CONVERTERS
from preprocess.engine.convert import Converted, convert
from preprocess.engine.job import Source
from preprocess.errors import SourceError
from preprocess.rows import SftRow
from tests.preprocess.converters.code_rows import take_sft
from tests.preprocess.sources.test_evaluations import PROBLEM, write


def response(sample: int, text: str, accuracy: float | None = 1.0, **others: Any) -> Response:
    fields = {"row": "a", "tokens": len(text), "finish": "stop", "score": accuracy or 0.0, "accuracy": accuracy, **others}
    return Response(sample=sample, text=text, **fields)


WRONG = response(9, "wrong", 0.0)


def sampled(folder: Path, *responses: Response, problem: Problem = PROBLEM, **options: Any) -> Converted:
    return convert([Source("rejection_sampled", write(folder, [problem], list(responses)), options=options)], "sft")


def answers(result: Converted) -> list[str]:
    return [row.conversations[-1].value for row in result.rows if isinstance(row, SftRow)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["longer", "short", "best one"]),
        ({"most": 2}, ["longer", "short"]),
        ({"select": "best"}, ["best one"]),
        ({"select": "shortest"}, ["short"]),
        ({"passed": 0.5}, ["longer", "half", "short", "best one"]),
        ({"max_pass_rate": 0.8, "min_pass_rate": 0.6}, ["longer", "short", "best one"]),
    ],
)
def test_right_responses_are_selected(tmp_path: Path, options: dict[str, Any], expected: list[str]) -> None:
    given = [
        response(3, "best one", score=2.0),
        WRONG,
        response(0, "longer"),
        response(1, "half", 0.5),
        response(2, "short"),
        response(5, "x", failed="no worker"),
        response(6, "longer\n"),
        # A right response that was cut has no end to learn.
        response(7, "cut", finish="length"),
    ]
    assert answers(sampled(tmp_path, *given, **options)) == expected


def test_of_equal_scores_the_shortest_is_the_best(tmp_path: Path) -> None:
    given = [response(0, "as good, longer"), response(1, "as good"), response(2, "as GOOD"), WRONG]
    assert answers(sampled(tmp_path, *given, select="best")) == ["as good"]


def test_score_counts_without_an_accuracy(tmp_path: Path) -> None:
    given = [response(0, "good", None, score=1.5), response(1, "bad", None, score=0.5)]
    assert answers(sampled(tmp_path, *given)) == ["good"]


@pytest.mark.parametrize(
    ("given", "options", "reason"),
    [
        ([response(0, "x"), response(1, "y")], {}, "all of its responses are right"),
        ([response(0, "x"), response(1, "", 0.0, failed="broken")], {}, "all of its responses are right"),
        ([WRONG], {}, "none of its responses is right"),
        ([response(0, "x", failed="broken")], {}, "it has no response with a score"),
        ([], {}, "it has no response with a score"),
        ([response(0, "x"), WRONG], {"min_pass_rate": 0.6}, "its pass rate is under 0.6"),
        ([response(0, "x"), WRONG], {"max_pass_rate": 0.4}, "its pass rate is over 0.4"),
        ([response(0, "x", finish="length"), WRONG], {}, "its right responses are cut"),
        ([response(0, "x", calls=1), WRONG], {}, "its right responses call the tool"),
    ],
)
def test_problems_that_give_no_row_are_left_out(
    tmp_path: Path, given: list[Response], options: dict[str, Any], reason: str
) -> None:
    result = sampled(tmp_path, *given, **options)
    (reject,) = result.rejects
    assert (result.rows, reject.kind, reject.reason, reject.line) == ([], "left_out", reason, 1)
    assert reject.source == str(tmp_path / "problems.jsonl")


def test_problems_that_are_always_solved_are_an_option(tmp_path: Path) -> None:
    assert answers(sampled(tmp_path, response(0, "x"), response(1, "y"), always_right=True)) == ["x", "y"]


def test_prompt_keeps_its_messages(tmp_path: Path) -> None:
    prompt = tuple(
        {"role": role, "content": f"{role} {number}"}
        for number, role in enumerate(("system", "user", "assistant", "user"))
    )  # fmt: skip
    row = take_sft(sampled(tmp_path, response(0, "right"), WRONG, problem=msgspec.structs.replace(PROBLEM, prompt=prompt)))
    assert row.system == "system 0"
    assert [(turn.speaker, turn.value) for turn in row.conversations] == [
        ("human", "user 1"), ("gpt", "assistant 2"), ("human", "user 3"), ("gpt", "right"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("prompt", "text", "reason"),
    [
        (({"role": "tool", "content": "x"},), "right", "the prompt has 'tool', expected messages of role and content, from"),
        (({"role": "user"},), "right", "the prompt has 'content', expected messages of role and content"),
        ((), "right", "1 turn, expected an even number"),
        (({"role": "user", "content": "x"},), " ", "the last answer is empty"),
    ],
)
def test_rejected(tmp_path: Path, prompt: Any, text: str, reason: str) -> None:
    result = sampled(tmp_path, response(0, text), WRONG, problem=msgspec.structs.replace(PROBLEM, prompt=prompt))
    (reject,) = result.rejects
    assert reject.kind == "rejected"
    assert reason in reject.reason


def test_invalid_response_is_named(tmp_path: Path) -> None:
    write(tmp_path, [PROBLEM], [response(0, "x"), WRONG])
    with (tmp_path / "responses.jsonl").open("a") as file:
        file.write('{"row": "a", "sample": 1, "text": "x", "tokens": 1, "finish": "stop", "score": "1", "accuracy": null}\n')
    result = convert([Source("rejection_sampled", tmp_path)], "sft")
    (reject,) = result.rejects
    assert reject.reason == "responses[2].score is text, expected a number"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"select": "first"}, "select is 'first', expected all or best or shortest"),
        ({"select": "best", "most": 2}, "most is for select: all; best selects one response"),
        ({"min_pass_rate": 0.5, "max_pass_rate": 0.4}, "min_pass_rate is 0.5, greater than max_pass_rate 0.4"),
        ({"max_pass_rate": 40}, "max_pass_rate is 40, expected a number <= 1"),
    ],
)
def test_invalid_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        CONVERTERS["rejection_sampled"].read_options(options)
