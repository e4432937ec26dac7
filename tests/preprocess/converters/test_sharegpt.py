"""sharegpt: conversations from any columns; rejects what LLaMA-Factory would skip or cannot read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from preprocess.converters import CONVERTERS
from preprocess.engine.convert import convert
from preprocess.engine.job import Source
from preprocess.errors import SourceError
from preprocess.rows import SftRow
from tests.preprocess.converters.code_rows import convert_record, take_reject, take_sft


def make_turns(*turns: tuple[str, str | None]) -> list[dict[str, Any]]:
    return [{"from": speaker, "value": text} for speaker, text in turns]


def call_f(text: str, arguments: object) -> dict[str, Any]:
    return {"from": "gpt", "value": text, "tool_calls": [{"function": {"name": "f", "arguments": arguments}}]}


def get_turns(row: SftRow) -> list[tuple[str, str]]:
    return [(turn.speaker, turn.value) for turn in row.conversations]


TALK = make_turns(("human", "Q"), ("gpt", "A"))


def test_openai_messages(tmp_path: Path) -> None:
    messages = [{"role": "system", "content": "S"}, {"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]
    row = take_sft(convert_record("sharegpt", "sft", tmp_path, {"messages": messages}))
    assert (get_turns(row), row.system, row.problem) == ([("human", "Q"), ("gpt", "A")], "S", "Q")


def test_openai_messages_from_parquet(tmp_path: Path) -> None:
    call = {"type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
    messages = [
        {"role": "user", "content": "Q", "tool_calls": None},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "content": "1", "tool_calls": None},
        {"role": "assistant", "content": "A", "tool_calls": []},
    ]
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"messages": [messages], "tools": ['[{"name": "f"}]']}), path)
    row = take_sft(convert([Source("sharegpt", path)], "sft"))
    assert get_turns(row) == [
        ("human", "Q"),
        ("function_call", '[{"name":"f","arguments":{"x":1}}]'),
        ("observation", "1"),
        ("gpt", "A"),
    ]
    assert row.tools == '[{"name": "f"}]'


@pytest.mark.parametrize(
    "call",
    [
        '{"name": "f", "arguments": {}}',
        '[{"name": "f", "arguments": {"x": [1]}}]',
        '<think>\nHm.\n</think>\n{"name": "f", "arguments": {}}',
    ],
)
def test_function_calls(tmp_path: Path, call: str) -> None:
    turns = make_turns(("human", "Q"), ("function_call", call), ("observation", "1"), ("gpt", "A"))
    assert take_sft(convert_record("sharegpt", "sft", tmp_path, {"conversations": turns})).conversations[1].value == call


def test_custom_columns_and_speakers(tmp_path: Path) -> None:
    turns = [{"who": "student", "text": "Q"}, {"who": "teacher", "text": "A"}]
    record = {"talk": turns, "rule": "S", "can": [{"name": "f"}], "system": "not this", "conversations": 7}
    options = {"conversations": "talk", "role": "who", "content": "text", "system": "rule", "tools": "can"}
    row = take_sft(convert_record("sharegpt", "sft", tmp_path, record, **options, roles={"student": "human", "teacher": "gpt"}))
    assert (get_turns(row), row.system, row.tools) == ([("human", "Q"), ("gpt", "A")], "S", '[{"name":"f"}]')


@pytest.mark.parametrize(
    ("record", "system"),
    [
        ({"conversations": TALK, "system": ""}, None),
        ({"conversations": TALK, "system": None}, None),
        ({"conversations": TALK, "system": "S"}, "S"),
        ({"conversations": [*make_turns(("system", "S")), *TALK]}, "S"),
        ({"conversations": [*make_turns(("system", "S")), *TALK], "system": "S"}, "S"),
        ({"conversations": [*make_turns(("system", "")), *TALK], "system": "S"}, "S"),
    ],
)
def test_system_message(tmp_path: Path, record: dict[str, Any], system: str | None) -> None:
    assert take_sft(convert_record("sharegpt", "sft", tmp_path, record)).system == system


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"conversations": []}, "0 turns, expected an even number of at least two"),
        ({"conversations": make_turns(("system", "S"))}, "0 turns, expected an even number of at least two"),
        ({"conversations": [*TALK, *make_turns(("human", "Q"))]}, "3 turns, expected an even number of at least two"),
        ({"conversations": make_turns(("gpt", "A"), ("human", "Q"))}, "turn 1 is from 'gpt', expected human or observation"),
        (
            {"conversations": make_turns(("human", "Q"), ("tool", "1"))},
            "turn 2 is from 'observation', expected gpt or function_call",
        ),
        ({"conversations": [*TALK, *make_turns(("system", "S"), ("gpt", "A"))]}, "turn 3 is from 'system', expected human or"),
        ({"conversations": make_turns(("human", "Q"), ("gpt", " "))}, "the last answer is empty"),
        ({"conversations": make_turns(("human", "Q"), ("gpt", None))}, "turn 2 has no text"),
        (
            {"conversations": make_turns(("human", "Q"), ("function_call", "f(1)"))},
            "turn 2 is not a tool call: expected JSON text of",
        ),
        ({"conversations": make_turns(("human", "Q"), ("function_call", '{"name": "f"}'))}, "turn 2 is not a tool call"),
        ({"conversations": make_turns(("human", "Q"), ("function_call", "[]"))}, "turn 2 is not a tool call"),
        (
            {"conversations": make_turns(("human", "Q"), ("bot", "A"))},
            "turn 2 is from 'bot', expected system, developer, human, user, ",
        ),
        ({"conversations": [*make_turns(("system", "S")), *TALK], "system": "T"}, "two different system messages"),
        ({"conversations": [{"role": "user", "text": "Q"}]}, "turn 1 has no text"),
        ({"conversations": [{"from": "human", "text": "Q"}]}, "conversations[0] has no 'value'; found from, text"),
        ({"conversations": [{"who": "user", "text": "Q"}]}, "conversations[0] has no 'from'; found text, who"),
        (
            {"conversations": [{"from": "human", "value": 3}]},
            "conversations[0].value is a number, expected text or a list or null",
        ),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content is a number, expected text or a list or null"),
        ({"conversations": "Q"}, "conversations is text, expected a list"),
        ({"conversations": TALK, "tools": "none"}, "tools is 'none', expected a list of objects or its JSON text"),
        ({"conversations": TALK, "tools": '{"name": "f"}'}, "expected a list of objects or its JSON text"),
        ({"conversations": TALK, "tools": 3}, "tools is a number, expected text or a list or null"),
        ({"conversations": [*make_turns(("human", "Q")), call_f("<tool_call>", {})]}, "turn 2 has tool calls, and in its text"),
        (
            {"conversations": [*make_turns(("human", "Q")), call_f("", "x")]},
            "turn 2: the arguments of f are not JSON",
        ),
    ],
)
def test_rejected(tmp_path: Path, record: dict[str, Any], reason: str) -> None:
    kind, found = take_reject(convert_record("sharegpt", "sft", tmp_path, record))
    assert kind == "rejected"
    assert reason in found


@pytest.mark.parametrize(
    ("record", "options", "message"),
    [
        ({"turns": []}, {}, "rows.jsonl:1: no column 'conversations', 'messages' or 'completion'; found turns"),
        ({"data": [{"messages": []}]}, {}, "the items of 'data' have it: write them as lines with `jq -c '.data[]'`"),
        ({"messages": []}, {"conversations": "mesages"}, "rows.jsonl:1: no column 'mesages'; did you mean 'messages'?"),
        ({"conversations": TALK, "sys": "S"}, {"system": "system"}, "rows.jsonl:1: no column 'system'; did you mean 'sys'?"),
        ({}, {"conversation": "x"}, "converter sharegpt: unknown 'conversation'; did you mean 'conversations'?"),
        ({}, {"role": "x", "content": "x"}, "converter sharegpt: column 'x' is named twice"),
        ({}, {"system": "x", "tools": "x"}, "converter sharegpt: column 'x' is named twice"),
        (
            {},
            {"roles": {"bot": "robot"}},
            "converter sharegpt: roles[...] is 'robot', expected system or human or gpt or observation or function_call",
        ),
    ],
)
def test_wrong_options_are_an_error(tmp_path: Path, record: dict[str, Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(SourceError) as caught:
        convert_record("sharegpt", "sft", tmp_path, record, **options)
    assert message in str(caught.value)


def test_tools_are_json_text() -> None:
    rows = convert([Source("sharegpt", CONVERTERS["sharegpt"].example)], "sft").rows
    texts = [row.tools for row in rows if isinstance(row, SftRow) and row.tools]
    assert len(texts) == 2
    assert all(tool["name"] == "weather" for text in texts for tool in json.loads(text))


Q, A = {"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}
CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
OTHER = {"id": "2", "type": "function", "function": {"name": "g", "arguments": "{}"}}


def tool(text: str) -> dict[str, str]:
    return {"role": "tool", "content": text, "tool_call_id": "1"}


@pytest.mark.parametrize(
    ("record", "turns"),
    [
        ({"conversations": TALK}, ["Q", "A"]),
        ({"messages": [Q, A]}, ["Q", "A"]),
        ({"conversations": [Q, A]}, ["Q", "A"]),
        ({"conversations": None, "messages": [Q, A]}, ["Q", "A"]),
        ({"prompt": "Q", "completion": "A"}, ["Q", "A"]),
        ({"prompt": [Q], "completion": [A]}, ["Q", "A"]),
        ({"prompt": [{"role": "system", "content": "S"}, Q], "completion": "A"}, ["Q", "A"]),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "Q"}, {"type": "text", "text": "R"}]}, A]},
            ["QR", "A"],
        ),
        ({"messages": [Q, {**A, "reasoning_content": "R"}]}, ["Q", "<think>\nR\n</think>\n\nA"]),
        ({"messages": [Q, {**A, "reasoning": " R\n"}]}, ["Q", "<think>\nR\n</think>\n\nA"]),
        ({"messages": [Q, {**A, "thinking": "A"}]}, ["Q", "<think>\nA\n</think>\n\nA"]),
        ({"messages": [Q, {"role": "assistant", "content": "<think>R</think>A", "thinking": "R"}]}, ["Q", "<think>R</think>A"]),
        ({"messages": [Q, {**A, "weight": 1}, Q, {**A, "weight": 0}]}, ["Q", "A"]),
        ({"messages": [Q, {**A, "train": True}, Q, {**A, "train": False}, Q, {**A, "train": False}]}, ["Q", "A"]),
        ({"messages": [Q, {"role": "assistant", "tool_calls": [CALL]}]}, ["Q", '[{"name":"f","arguments":{"x":1}}]']),
        (
            {"messages": [Q, {"role": "assistant", "content": None, "function_call": OTHER["function"]}]},
            ["Q", '[{"name":"g","arguments":{}}]'],
        ),
        (
            {"messages": [Q, {**A, "tool_calls": [CALL, OTHER]}, tool("1"), tool("2"), A]},
            [
                "Q",
                'A\n<tool_call>[{"name":"f","arguments":{"x":1}},{"name":"g","arguments":{}}]</tool_call>',
                "1\n</tool_response>\n<tool_response>\n2",
                "A",
            ],
        ),
        (
            {"messages": [Q, {"role": "assistant", "content": "", "reasoning_content": "R", "tool_calls": [OTHER]}]},
            ["Q", '<think>\nR\n</think>\n\n[{"name":"g","arguments":{}}]'],
        ),
    ],
)
def test_layouts_without_options(tmp_path: Path, record: dict[str, Any], turns: list[str]) -> None:
    row = take_sft(convert_record("sharegpt", "sft", tmp_path, record))
    assert [turn.value for turn in row.conversations] == turns


@pytest.mark.parametrize(
    ("record", "kind", "reason"),
    [
        ({"conversations": TALK, "images": ["x.png"]}, "rejected", "it has images; rows have only text"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}, A]},
            "rejected",
            "a part of type 'image_url'",
        ),
        ({"messages": [Q, {**A, "weight": 0}]}, "left_out", "all of its answers have weight 0"),
        ({"messages": [Q, {**A, "weight": 0}, Q, A]}, "rejected", "turn 2 is not to train on, but turn 4 is"),
        ({"prompt": [Q, A, Q], "completion": "A"}, "rejected", "turn 2 is not to train on, but turn 4 is"),
        ({"messages": [Q, {**A, "weight": 0.5}]}, "rejected", "turn 2 has weight 0.5, expected 0 or 1"),
        (
            {"messages": [Q, {"role": "assistant", "content": "<think>R</think>A", "reasoning": "S"}]},
            "rejected",
            "turn 2 has two thoughts",
        ),
        ({"messages": [Q, {"role": "assistant", "tool_calls": [CALL]}, tool("1"), tool("2"), A]}, "rejected", "5 turns"),
    ],
)
def test_what_rows_cannot_hold(tmp_path: Path, record: dict[str, Any], kind: str, reason: str) -> None:
    found = take_reject(convert_record("sharegpt", "sft", tmp_path, record))
    assert found[0] == kind
    assert reason in found[1]


def test_thoughts_in_the_words_of_another_template(tmp_path: Path) -> None:
    record = {"messages": [Q, {**A, "reasoning_content": "R"}]}
    row = take_sft(convert_record("sharegpt", "sft", tmp_path, record, thought=["<seed:think>", "</seed:think>"]))
    assert row.conversations[1].value == "<seed:think>R</seed:think>A"
