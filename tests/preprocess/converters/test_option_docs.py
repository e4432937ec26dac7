"""Option documentation: the string below an option, also in a base class."""

from __future__ import annotations

from pathlib import Path

from preprocess.converters.base import Options
from preprocess.converters.mbpp import MbppOptions
from preprocess.converters.option_docs import explain_options
from preprocess.converters.plugins import load_file
from preprocess.converters.shared.execution import ExecutionOptions, FileOptions


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
