"""Rows as Arrow columns."""

import msgspec
import pyarrow as pa
import pytest

from preprocess.columns import complete, pack, schema
from preprocess.errors import RowError
from preprocess.rows import Message, RlRow, SftRow, Turn, to_json


def _row(**changes: object) -> RlRow:
    given = {"problem": "p", "data_source": "d", "prompt": (Message("user", "Q"),), "ground_truth": {"b": 1, "a": "ü"}}
    return RlRow(**{**given, **changes})  # type: ignore[arg-type]


def test_rl_rows() -> None:
    system = Message("system", "S")
    rows = [_row(), _row(id="mine", prompt=(system, Message("user", "Q")), tools=("python_interpreter",), detail={"x": 1})]
    batch = complete(pack(rows, ["f:1", "f:2"], "rl"), "rl", "validation", 40)
    assert batch.schema == schema("rl")
    assert batch.to_pylist() == [
        {
            "data_source": "d",
            "prompt": [{"role": "user", "content": "Q"}],
            "ability": "code",
            "reward_model": {"style": "rule", "ground_truth": '{"a": "ü", "b": 1}'},
            "extra_info": {"index": 40, "split": "validation", "id": "f:1", "detail": "{}", "tool_selection": []},
            "agent_name": "single_turn_agent",
        },
        {
            "data_source": "d",
            "prompt": [{"role": "system", "content": "S"}, {"role": "user", "content": "Q"}],
            "ability": "code",
            "reward_model": {"style": "rule", "ground_truth": '{"a": "ü", "b": 1}'},
            "extra_info": {
                "index": 41,
                "split": "validation",
                "id": "mine",
                "detail": '{"x": 1}',
                "tool_selection": ["python_interpreter"],
            },
            "agent_name": "tool_agent",
        },
    ]


def test_sft_rows() -> None:
    turns = (Turn("human", "Q"), Turn("gpt", "A"))
    rows = [SftRow("p", turns), SftRow("p", turns * 2, "S", "[]")]
    table = complete(pack(rows, ["", ""], "sft"), "sft", "train", 0)
    assert table.schema == schema("sft")
    written = [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]
    assert table.to_pylist() == [
        {"conversations": written, "system": None, "tools": None},
        {"conversations": written * 2, "system": "S", "tools": "[]"},
    ]


@pytest.mark.parametrize("shape", ["sft", "rl"])
def test_schema_has_only_plain_types(shape: str) -> None:
    """No dictionaries, large types or metadata, which older versions of `datasets` or pandas read differently."""

    def walk(kind: pa.DataType) -> None:
        if pa.types.is_struct(kind):
            for field in kind:
                walk(field.type)
        elif pa.types.is_list(kind):
            walk(kind.value_type)
        else:
            assert kind in (pa.string(), pa.int64())

    found = schema(shape)  # type: ignore[arg-type]
    assert found.metadata is None
    for field in found:
        walk(field.type)


def test_raw_json_is_unchanged() -> None:
    text = '{"b" : 1.50, "a":[1e400]}'
    assert to_json(msgspec.Raw(text.encode())) == text


@pytest.mark.parametrize("value", [{"a": float("nan")}, {"a": {1, 2}}, msgspec.Raw(b'"\xff"')])
def test_invalid_json_is_an_error(value: object) -> None:
    with pytest.raises(RowError):
        to_json(value)
