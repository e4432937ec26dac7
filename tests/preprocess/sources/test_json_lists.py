"""Splitting of JSON lists, and errors with the line."""

import io
import json
import random
from pathlib import Path

import pytest

from preprocess.errors import SourceError
from preprocess.sources import json_lists
from preprocess.sources.json_lists import split_list

PATH = Path("rows.json")


def _split(text: str | bytes) -> list[bytes]:
    return list(split_list(io.BytesIO(text.encode() if isinstance(text, str) else text), PATH))


@pytest.mark.parametrize("indent", [None, 0, 2])
@pytest.mark.parametrize("piece", [1, 3, 17, 1_000_000])
def test_elements_match_json(monkeypatch: pytest.MonkeyPatch, indent: int | None, piece: int) -> None:
    monkeypatch.setattr(json_lists, "_PIECE", piece)
    rows = [{"a": 'x"]},\\\n', "b": [{"ü": None}, -1.5e3]}, {}, {"c": "𝄞\u2028"}, 12, "]", [], None]
    texts = _split(json.dumps(rows, indent=indent, ensure_ascii=False))
    assert [json.loads(text) for text in texts] == rows
    assert not any(b"\n" in text for text in texts)


def test_random_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(5)
    for _ in range(50):
        monkeypatch.setattr(json_lists, "_PIECE", chance.randint(1, 40))
        rows = [{chance.choice('ab"]'): chance.choice(["x" * chance.randint(0, 60), 10 ** chance.randint(0, 20), [{}]])}]
        rows *= chance.randint(0, 5)
        assert [json.loads(text) for text in _split(json.dumps(rows, indent=chance.choice([None, 1])))] == rows


def test_empty_list_and_byte_order_mark() -> None:
    assert _split(" [ \n ] ") == []
    assert _split(b"\xef\xbb\xbf[1]") == [b"1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": 1}', "rows.json:1: begins with '{', expected a list"),
        ("", "rows.json:1: begins with '', expected a list"),
        ('[\n{"a": 1},\n{"a": ', "rows.json:3: not JSON in the element that begins here"),
        ('[\n{"a": 1}\n', "rows.json:3: cut short"),
        ('[\n{"a": 1}\n{"a": 2}]', "rows.json:3: expected , or ] after an element, found '{'"),
        ("[1,]", "rows.json:1: not JSON in the element"),
        ("[1] 2", "rows.json:1: '2' after the end of the list"),
        ("[" + "[" * 100_000, "rows.json:1: an element is nested too deeply"),
        (b'[\n"\xff"]', "rows.json:1: not UTF-8: invalid start byte"),
    ],
)
def test_broken_list_is_a_one_line_error(text: str | bytes, message: str) -> None:
    with pytest.raises(SourceError) as caught:
        _split(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
