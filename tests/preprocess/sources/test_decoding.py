"""Errors of records are one line: the column, what was found and what was expected."""

from typing import Literal

import msgspec
import pytest

from preprocess.errors import RowError
from preprocess.sources.decoding import MissingColumnError, describe, explain


class Turn(msgspec.Struct):
    value: str


class Kept(msgspec.Struct):
    prompt: str
    kind: Literal["a", "b"]
    turns: list[Turn] = []
    truth: msgspec.Raw = msgspec.Raw(b"{}")


GOOD = '"prompt": "p", "kind": "a"'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"promt": "p", "kind": "a"}', "no column 'prompt'; did you mean 'promt'?"),
        ("{}", "no column 'prompt'; found none"),
        ('{"prompt": 3, "kind": "a"}', "prompt is a number, expected text"),
        ('{"prompt": "p", "kind": "c"}', "kind is 'c', expected a or b"),
        (f'{{{GOOD}, "turns": {{}}}}', "turns is an object, expected a list"),
        (f'{{{GOOD}, "turns": [{{"value": null}}]}}', "turns[0].value is null, expected text"),
        (f'{{{GOOD}, "turns": [{{"valeu": 1}}]}}', "turns[0] has no 'value'; did you mean 'valeu'?"),
        ("[1]", "a list, expected an object"),
        ('{"prompt": "p"', "not JSON: Expecting ',' delimiter: line 1 column 15 (char 14)"),
        ('{"prompt": "\\ud800", "kind": "a"}', "not UTF-8 text: half of a surrogate pair"),
        (f'{{{GOOD}, "truth": {{"x": NaN}}}}', "Out of range float values are not JSON compliant"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_error_message(text: str, message: str) -> None:
    with pytest.raises(RowError) as caught:
        explain(text.encode(), Kept, ValueError())
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_error_message_about_the_whole_record() -> None:
    assert describe("Expected `object`, got `array`", Kept) == "the record is a list, expected an object"
    assert describe("Object missing required field `kind`", Kept, {"knd": 1}) == "the record has no 'kind'; did you mean 'knd'?"


def test_error_message_of_an_optional_choice() -> None:
    class Options(msgspec.Struct):
        task: Literal["a", "b"] | None = None

    assert describe("Invalid enum value 'c' - at `$.task`", Options) == "task is 'c', expected a or b"


def test_wrong_encoding_names_the_byte() -> None:
    with pytest.raises(RowError, match="not UTF-8: byte 0xfc at 12"):
        explain('{"prompt": "ü"}'.encode("latin-1"), Kept, ValueError())


def test_missing_column_error() -> None:
    with pytest.raises(MissingColumnError):
        explain(b"{}", Kept, ValueError())


def test_unused_columns_may_be_nan() -> None:
    assert explain(f'{{{GOOD}, "score": NaN}}'.encode(), Kept, ValueError()) == Kept("p", "a")
