"""alpaca: instructions from any columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from preprocess.errors import SourceError
from tests.preprocess.converters.code_rows import convert_record, take_reject, take_sft


@pytest.mark.parametrize(
    ("record", "options", "turns"),
    [
        ({"instruction": "I", "output": "O"}, {}, ["I", "O"]),
        ({"instruction": "I", "input": "X", "output": "O"}, {}, ["I\nX", "O"]),
        ({"instruction": "I", "input": None, "output": "O"}, {}, ["I", "O"]),
        ({"instruction": "", "input": "X", "output": "O"}, {}, ["X", "O"]),
        ({"problem": "I", "solution": "O", "input": "X"}, {"instruction": "problem", "output": "solution"}, ["I\nX", "O"]),
        ({"instruction": "I", "output": "O", "text": "X", "input": "no"}, {"input": "text"}, ["I\nX", "O"]),
        ({"instruction": "I", "output": "O", "history": [["A", "B"], ["C", "D"]]}, {}, ["A", "B", "C", "D", "I", "O"]),
        ({"instruction": "I", "output": "O", "history": None}, {}, ["I", "O"]),
        ({"instruction": "I", "output": "O", "prompt": "the template of both", "response": "R"}, {}, ["I", "O"]),
        ({"prompt": "I", "completion": "O"}, {}, ["I", "O"]),
        ({"prompt": "I", "response": "O", "instruction": None}, {}, ["I", "O"]),
        ({"instruction": "I", "response": "O"}, {}, ["I", "O"]),
        ({"question": "I", "answer": "O", "images": []}, {}, ["I", "O"]),
        (
            {"question": "I", "answer": "O", "prompt": "P", "response": "R"},
            {"instruction": "prompt", "output": "response"},
            ["P", "R"],
        ),
    ],
)
def test_turns(tmp_path: Path, record: dict[str, Any], options: dict[str, Any], turns: list[str]) -> None:
    row = take_sft(convert_record("alpaca", "sft", tmp_path, record, **options))
    assert [turn.value for turn in row.conversations] == turns
    assert [turn.speaker for turn in row.conversations] == ["human", "gpt"] * (len(turns) // 2)
    assert row.problem == turns[0]


def test_system_message(tmp_path: Path) -> None:
    record = {"instruction": "I", "output": "O", "rule": "S"}
    assert take_sft(convert_record("alpaca", "sft", tmp_path, record, system="rule")).system == "S"
    assert take_sft(convert_record("alpaca", "sft", tmp_path, {**record, "system": ""})).system is None


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"instruction": " ", "output": "O"}, "the instruction is empty"),
        ({"instruction": "I", "output": " "}, "the last answer is empty"),
        ({"instruction": "I", "output": ["O"]}, "output is a list, expected text or null"),
        ({"instruction": "I", "output": "O", "history": [["A"]]}, "history[0]"),
        ({"instruction": "I", "output": None}, "no answer: expected output or response"),
        ({"instruction": "I", "output": "O", "images": ["x.png"]}, "it has images; rows have only text"),
        (
            {"question": "I", "answer": "O", "prompt": "P", "response": "R"},
            "it has the columns prompt/response and question/answer",
        ),
        ({"instruction": "I", "output": "O", "history": "A"}, "history is text, expected a list or null"),
    ],
)
def test_rejected(tmp_path: Path, record: dict[str, Any], reason: str) -> None:
    kind, found = take_reject(convert_record("alpaca", "sft", tmp_path, record))
    assert kind == "rejected"
    assert reason in found


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "rows.jsonl:1: no column 'instruction', 'prompt' or 'question'; did you mean 'instructions'?"),
        (
            {"instruction": "instructions", "system": "sistem"},
            "rows.jsonl:1: no column 'sistem'; found instructions, output",
        ),
        ({"instruction": "output"}, "converter alpaca: column 'output' is named twice"),
    ],
)
def test_wrong_options_are_an_error(tmp_path: Path, options: dict[str, str], message: str) -> None:
    with pytest.raises(SourceError) as caught:
        convert_record("alpaca", "sft", tmp_path, {"instructions": "I", "output": "O"}, **options)
    assert message in str(caught.value)
