"""Results of custom converters: accepted rows, and errors for everything else."""

from __future__ import annotations

from typing import Any

import pytest

from preprocess.converters.custom_rows import read_row
from preprocess.errors import RowError
from preprocess.rows import Message, RlRow, SftRow, Shape, Turn, to_json

TALK = [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]


def read_rl(given: Any) -> RlRow:
    row = read_row(given, "rl", "mine")
    assert isinstance(row, RlRow)
    return row


def test_minimal_rows() -> None:
    row = read_rl({"prompt": "Q", "ground_truth": 1})
    assert row.prompt == (Message("user", "Q"),)
    assert (row.data_source, row.problem, row.id, row.ability, row.detail, row.tools) == ("mine", "Q", "", "code", {}, ())
    taught = read_row({"conversations": TALK}, "sft", "mine")
    assert taught == SftRow("Q", (Turn("human", "Q"), Turn("gpt", "A")))


def test_rows_with_all_fields() -> None:
    prompt = [{"role": "system", "content": "S"}, {"role": "user", "content": "Q"}]
    more = {"data_source": "d", "problem": "p", "id": "i", "ability": "a", "detail": {"solution": "s"}, "tools": ["t"]}
    row = read_rl({"prompt": prompt, "ground_truth": 1, **more})
    assert row.prompt == (Message("system", "S"), Message("user", "Q"))
    found = (row.data_source, row.problem, row.id, row.ability, row.detail, row.tools)
    assert found == ("d", "p", "i", "a", {"solution": "s"}, ("t",))
    taught = read_row({"conversations": TALK, "system": "S", "tools": [{"name": "t"}], "problem": "p"}, "sft", "mine")
    assert taught == SftRow("p", (Turn("human", "Q"), Turn("gpt", "A")), "S", '[{"name":"t"}]')


@pytest.mark.parametrize(
    ("truth", "text"),
    [
        ("any text", "any text"),
        ('{"a": 1}', '{"a": 1}'),
        ({"b": "ü", "a": [1, None]}, '{"a": [1, null], "b": "ü"}'),
        (42, "42"),
        ((1, 2), "[1, 2]"),
        (None, "null"),
    ],
)
def test_ground_truth(truth: object, text: str) -> None:
    assert to_json(read_rl({"prompt": "Q", "ground_truth": truth}).ground_truth) == text


def test_row_object_is_unchanged() -> None:
    row = RlRow(problem="p", data_source="d", prompt=(), ground_truth={})
    assert read_row(row, "rl", "mine") is row


@pytest.mark.parametrize(
    ("given", "shape", "reason"),
    [
        (7, "rl", "converter mine gave a number, expected a mapping or an RlRow"),
        ("Q", "sft", "converter mine gave text, expected a mapping or an SftRow"),
        (SftRow("", ()), "rl", "converter mine gave a SftRow, expected a mapping or an RlRow"),
        ({"promt": "Q"}, "rl", "converter mine gave a row with an unknown 'promt'; did you mean 'prompt'?"),
        (
            {1: "Q"},
            "rl",
            "converter mine gave a row with an unknown 1; expected ability, data_source, detail, ground_truth, id, ",
        ),
        ({"prompt": "Q"}, "rl", "converter mine gave a wrong row: the record has no 'ground_truth'; found prompt"),
        (
            {"prompt": 3, "ground_truth": 1},
            "rl",
            "converter mine gave a wrong row: prompt is a number, expected text or a list",
        ),
        ({"prompt": [{"role": "user"}], "ground_truth": 1}, "rl", "wrong row: prompt[0] has no 'content'; found role"),
        ({"prompt": [{"role": "human", "content": "Q"}], "ground_truth": 1}, "rl", "wrong row: prompt[0].role is 'human'"),
        ({"prompt": "Q", "ground_truth": 1, "detail": []}, "rl", "wrong row: detail is a list, expected an object"),
        ({"prompt": "Q", "ground_truth": {1}}, "rl", "not JSON data: Object of type set is not JSON serializable"),
        ({"prompt": "Q", "ground_truth": float("nan")}, "rl", "not JSON data: Out of range float values"),
        ({"prompt": "Q", "ground_truth": "\ud800"}, "rl", "not UTF-8 text: 'utf-8' codec can't encode"),
        ({"conversations": [{"role": "user"}]}, "sft", "wrong row: conversations[0] has no 'from'; found role"),
        ({"conversations": TALK, "tools": "t"}, "sft", "tools is 't', expected a list of objects or its JSON text"),
        ({"conversations": "Q"}, "sft", "wrong row: conversations is text, expected a list"),
    ],
)
def test_errors(given: object, shape: Shape, reason: str) -> None:
    with pytest.raises(RowError) as caught:
        read_row(given, shape, "mine")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
