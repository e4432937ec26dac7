"""Options: one-line errors, and documentation from the strings below them, also in a base class."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import pytest

from preprocess.converters.base import Options
from preprocess.converters.mbpp import MbppOptions
from preprocess.converters.options import Positive, explain_options, parse_options
from preprocess.converters.plugins import load_file
from preprocess.converters.shared.execution import ExecutionOptions, FileOptions
from preprocess.errors import SourceError


class _Inner(msgspec.Struct, forbid_unknown_fields=True):
    share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    kind: Literal["a", "b"] | None = None


class _Outer(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    file: Path
    count: Positive | None = None
    inner: list[_Inner] | Literal["own"] = []
    kinds: dict[str, Literal["a", "b"]] = {}
    levels: dict[int, str] = {}


def test_plain_values_become_a_struct() -> None:
    given = {"file": "a", "count": 3, "inner": [{"share": 1}]}
    assert parse_options(given, _Outer) == _Outer(file=Path("a"), count=3, inner=[_Inner(1.0)])
    assert parse_options({"file": "a", "levels": {"1": "x"}}, _Outer).levels == {1: "x"}
    assert parse_options({"file": Path("a")}, _Outer) == _Outer(file=Path("a"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "options is a list, expected an object"),
        ({}, "options has no 'file'; found none"),
        ({"fil": "a"}, "unknown 'fil'; did you mean 'file'?"),
        ({"file": 3}, "file is a number, expected a path"),
        ({"file": "a", "count": 0}, "count is 0, expected a number >= 1"),
        ({"file": "a", "count": "3"}, "count is text, expected a number or null"),
        ({"file": "a", "count": True}, "count is true or false, expected a number or null"),
        ({"file": "a", "count": 2.5}, "count is a number with a point, expected a whole number or null"),
        ({"file": "a", "inner": 3}, "inner is a number, expected text or a list"),
        ({"file": "a", "inner": "onw"}, "inner is 'onw', expected own"),
        ({"file": "a", "inner": [{}, {"shar": 1}]}, "inner[1]: unknown 'shar'; did you mean 'share'?"),
        ({"file": "a", "inner": [{"share": 1.5}]}, "inner[0].share is 1.5, expected a number <= 1.0"),
        ({"file": "a", "inner": [{"share": float("nan")}]}, "inner[0].share is nan, expected a number >= 0.0"),
        ({"file": "a", "inner": [{"kind": "c"}]}, "inner[0].kind is 'c', expected a or b"),
        ({"file": "a", "kinds": {"x": "c"}}, "kinds[...] is 'c', expected a or b"),
    ],
)
def test_error_message(given: Any, message: str) -> None:
    with pytest.raises(SourceError) as caught:
        parse_options(given, _Outer)
    assert str(caught.value) == message


def test_options_are_in_order_with_their_documentation() -> None:
    docs = explain_options(FileOptions)
    assert [each.name for each in docs] == [*ExecutionOptions.__struct_fields__, "max_calls"]
    assert {each.name: (each.default, each.meaning) for each in docs}["seed"] == (17, "Seed of the choice of questions.")
    assert all(each.meaning for each in [*docs, *explain_options(MbppOptions)])
    assert explain_options(Options) == []


def test_options_of_a_function(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("""
from preprocess.converters.plugins import converter

@converter("mine", "rl")
def mine(record, *, needed: int, words: list[str] = ["a"]):
    return None
""")
    found = explain_options(load_file(tmp_path / "mine.py")["mine"].options)
    assert [(each.name, each.needed, each.default, each.kind) for each in found] == [
        ("needed", True, None, int),
        ("words", False, ["a"], list[str]),
    ]
