"""The Arrow schema of each shape, and rows as Arrow columns.

A packed batch lacks the rows' numbers and their split, which `complete` adds when the batch is written to a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import msgspec

from preprocess.errors import RowError
from preprocess.rows import RlRow, Row, SftRow, Shape, to_json

if TYPE_CHECKING:
    import pyarrow as pa

# verl's names of the agent loops that generate responses.
_PLAIN, _WITH_TOOLS = "single_turn_agent", "tool_agent"


def schema(shape: Shape) -> pa.Schema:
    """Return the Arrow schema of all files of a shape."""
    import pyarrow as pa

    text = pa.string()
    if shape == "sft":
        turn = pa.struct([("from", text), ("value", text)])
        return pa.schema([("conversations", pa.list_(turn)), ("system", text), ("tools", text)])
    extra = [("index", pa.int64()), ("split", text), ("id", text), ("detail", text), ("tool_selection", pa.list_(text))]
    return pa.schema(
        [
            ("data_source", text),
            ("prompt", pa.list_(pa.struct([("role", text), ("content", text)]))),
            ("ability", text),
            ("reward_model", pa.struct([("style", text), ("ground_truth", text)])),
            ("extra_info", pa.struct(extra)),
            ("agent_name", text),
        ]
    )


def pack(rows: Sequence[Row], ids: Sequence[str], shape: Shape) -> pa.RecordBatch:
    """Return rows as columns; `ids` are the names of rows without an id.

    Raises:
        UnicodeEncodeError: A row's text cannot be written as UTF-8.
    """
    if shape == "sft":
        return _pack_sft([row for row in rows if isinstance(row, SftRow)])
    return _pack_rl([row for row in rows if isinstance(row, RlRow)], ids)


def complete(batch: pa.RecordBatch, shape: Shape, split: str, first: int) -> pa.RecordBatch:
    """Return a packed batch as it is written: the rows numbered from `first`, with their split."""
    import pyarrow as pa

    if shape == "sft":
        return batch
    count = batch.num_rows
    reward_model = pa.StructArray.from_arrays([pa.repeat("rule", count), batch["ground_truth"]], ["style", "ground_truth"])
    index = pa.array(range(first, first + count), pa.int64())
    extra = [index, pa.repeat(split, count), batch["id"], batch["detail"], batch["tools"]]
    names = ["index", "split", "id", "detail", "tool_selection"]
    added = {"reward_model": reward_model, "extra_info": pa.StructArray.from_arrays(extra, names)}
    columns = [added[name] if name in added else batch[name] for name in schema(shape).names]
    return pa.RecordBatch.from_arrays(columns, schema=schema(shape))


def _pack_sft(rows: Sequence[SftRow]) -> pa.RecordBatch:
    import pyarrow as pa

    turns = [turn for row in rows for turn in row.conversations]
    fields = {"from": [turn.speaker for turn in turns], "value": [turn.value for turn in turns]}
    columns = [
        _nest([len(row.conversations) for row in rows], fields),
        pa.array([row.system for row in rows], pa.string()),
        pa.array([row.tools for row in rows], pa.string()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema("sft"))


def _pack_rl(rows: Sequence[RlRow], ids: Sequence[str]) -> pa.RecordBatch:
    import pyarrow as pa

    text = pa.string()
    messages = [message for row in rows for message in row.prompt]
    roles: list[str] = [message.role for message in messages]
    fields = {"role": roles, "content": [message.content for message in messages]}
    tools = [tool for row in rows for tool in row.tools]
    columns = {
        "data_source": pa.array([row.data_source for row in rows], text),
        "prompt": _nest([len(row.prompt) for row in rows], fields),
        "ability": pa.array([row.ability for row in rows], text),
        "ground_truth": _pack_json([row.ground_truth for row in rows]),
        "id": pa.array([row.id or name for row, name in zip(rows, ids, strict=True)], text),
        "detail": pa.array([to_json(row.detail) if row.detail else "{}" for row in rows], text),
        "tools": _make_lists([len(row.tools) for row in rows], pa.array(tools, text)),
        "agent_name": pa.array([_WITH_TOOLS if row.tools else _PLAIN for row in rows], text),
    }
    return pa.RecordBatch.from_pydict(columns)


def _pack_json(values: Sequence[Any]) -> pa.Array:
    import pyarrow as pa

    if not all(type(value) is msgspec.Raw for value in values):
        return pa.array([to_json(value) for value in values], pa.string())
    # JSON texts already: joined, they are the column's bytes.
    data = b"".join(values)
    offsets = pa.array(accumulate((len(memoryview(value)) for value in values), initial=0), pa.int32())
    column = pa.BinaryArray.from_buffers(pa.binary(), len(values), [None, offsets.buffers()[1], pa.py_buffer(data)])
    try:
        return column.cast(pa.string())  # checks that it is UTF-8
    except pa.ArrowInvalid as error:
        raise RowError(f"not UTF-8 text: {error}") from error


def _nest(lengths: Iterable[int], fields: Mapping[str, Sequence[str]]) -> pa.Array:
    """Return a column of lists of structs."""
    import pyarrow as pa

    texts = [pa.array(values, pa.string()) for values in fields.values()]
    return _make_lists(lengths, pa.StructArray.from_arrays(texts, list(fields)))


def _make_lists(lengths: Iterable[int], values: pa.Array) -> pa.Array:
    import pyarrow as pa

    return pa.ListArray.from_arrays(pa.array(accumulate(lengths, initial=0), pa.int32()), values)
