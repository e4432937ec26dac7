"""execverify_sft, execverify_rl: the published columns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from preprocess.converters import CONVERTERS
from preprocess.engine.convert import convert
from preprocess.engine.job import Source
from preprocess.errors import SourceError
from preprocess.rows import RlRow, to_json
from rewards.builtin.white_box_rows import make_reference
from rewards.entry import compute_score_blocking
from tests.preprocess.converters.code_rows import convert_record, take_reject, take_rl, take_sft

QUESTION: dict[str, Any] = {
    "type": "io_mixed",
    "func_str": "def f(a):\n    return a",
    "func_name": "f",
    "func_args": "1",
    "result": "1",
    "prompt_str": "Q",
    "question_answers": {"path_answers": [["-1"]], "state_as": []},
    "questions": ["?"],
    "trace_events": [{"line": 2}],
}


def talk(*turns: tuple[str, Any]) -> dict[str, Any]:
    return {"conversations": [{"from": speaker, "value": text} for speaker, text in turns]}


def test_conversation_is_unchanged(tmp_path: Path) -> None:
    row = take_sft(convert_record("execverify_sft", "sft", tmp_path, talk(("human", "Q"), ("gpt", " A\n"))))
    assert [(turn.speaker, turn.value) for turn in row.conversations] == [("human", "Q"), ("gpt", " A\n")]


def test_ground_truth(tmp_path: Path) -> None:
    row = take_rl(convert_record("execverify_rl", "rl", tmp_path, QUESTION))
    read = {"type", "func_str", "func_name", "func_args", "result", "question_answers"}
    assert json.loads(to_json(row.ground_truth)) == {name: QUESTION[name] for name in read}
    assert (row.prompt[0].content, row.problem) == ("Q", QUESTION["func_str"])


def test_example_answers_get_the_best_score() -> None:
    rows = convert([Source("execverify_rl", CONVERTERS["execverify_rl"].example)], "rl").rows
    assert len(rows) == 4
    for row in rows:
        assert isinstance(row, RlRow)
        truth = to_json(row.ground_truth)
        answer = make_reference(truth, {})
        assert answer is not None
        result = compute_score_blocking(row.data_source, answer, truth, {"id": "x"}, rewards=[{"name": "white_box"}])
        assert (result["score"], result["failed"]) == (2.0, 0.0)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (talk(), "0 turns, expected an even number of at least two"),
        (talk(("human", "Q")), "1 turn, expected an even number of at least two"),
        (talk(("human", "Q"), ("gpt", "A"), ("human", "Q")), "3 turns"),
        (talk(("robot", "Q"), ("gpt", "A")), "turn 1 is from 'robot', expected human or observation"),
        (talk(("human", "Q"), ("human", "A")), "turn 2 is from 'human', expected gpt or function_call"),
        (talk(("human", "Q"), ("gpt", "")), "the last answer is empty"),
        (talk(("human", "Q"), ("gpt", None)), "conversations[1].value is null, expected text"),
        ({"conversations": [{"value": "Q"}]}, "conversations[0] has no 'from'; found value"),
        ({"conversations": "Q"}, "conversations is text, expected a list"),
    ],
)
def test_rejected_conversations(tmp_path: Path, record: dict[str, Any], reason: str) -> None:
    kind, found = take_reject(convert_record("execverify_sft", "sft", tmp_path, record))
    assert kind == "rejected"
    assert reason in found


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"type": "io"}, "type is 'io', expected io_mixed or oi"),
        ({"func_str": "\ud800"}, "not UTF-8"),
        ({"func_args": 1}, "func_args is a number, expected text"),
        ({"result": None}, "result is null, expected text"),
        ({"prompt_str": "\n"}, "the prompt does not end with a user's message"),
        (
            {"question_answers": {"path_answers": [[float("inf")]]}},
            "not JSON: Out of range float values are not JSON compliant",
        ),
    ],
)
def test_rejected_questions(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    kind, found = take_reject(convert_record("execverify_rl", "rl", tmp_path, {**QUESTION, **change}))
    assert kind == "rejected"
    assert reason in found


def test_other_columns_are_ignored(tmp_path: Path) -> None:
    row = take_rl(
        convert_record("execverify_rl", "rl", tmp_path, {**QUESTION, "trace_events": float("nan"), "questions": None})
    )
    assert row.prompt[0].content == "Q"


def test_sft_file_is_an_error_for_rl(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"rows\.jsonl:1: no column 'type'; found conversations"):
        convert_record("execverify_rl", "rl", tmp_path, talk(("human", "Q"), ("gpt", "A")))
