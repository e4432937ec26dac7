"""Records as readable text."""

from __future__ import annotations

import json

from pipelines.console.record_text import render


def text(fields: object, full: bool = False) -> list[str]:
    return ["  " * line.depth + line.text for line in render(fields, full=full)]


def test_line_breaks_and_json_in_strings() -> None:
    truth = {"fn_name": "f", "inputs": [[1], [2]], "prelude": "import re\nimport math"}
    assert text({"prompt": [{"role": "user", "content": "a\nb"}], "truth": json.dumps(truth), "empty": None, "none": []}) == [
        "  prompt: user",
        "    a",
        "    b",
        "  truth:",
        "    fn_name: f",
        "    inputs: [[1], [2]]",
        "    prelude:",
        "      import re",
        "      import math",
    ]


def test_text_that_looks_like_json() -> None:
    assert text({"a": "[1, 2", "b": "{}", "c": 0, "d": False}) == ["  a: [1, 2", "  c: 0", "  d: false"]
    assert text("no record") == ["  no record"]


def test_a_final_line_break_keeps_the_line() -> None:
    assert text({"inputs": ["1\n", "2\n"], "program": ["a\nb"]}) == [
        '  inputs: ["1\\n", "2\\n"]',
        "  program:",
        "    1.",
        "      a",
        "      b",
    ]


def test_long_texts_and_lists_are_shortened() -> None:
    fields = {
        "list": [f"item number {number} of a long list" for number in range(100)],
        "lines": "\n".join(map(str, range(100))),
        "text": "x" * 9000,
    }
    shown = text(fields)
    assert "    … 90 of 100 left out …" in shown and '    100. "item number 99 of a long list"' in shown
    assert (
        "    … 60 of 100 lines left out …" in shown and shown[shown.index("    … 60 of 100 lines left out …") - 1] == "    19"
    )
    assert "    … 7,000 of 9,000 characters left out …" in shown
    whole = "\n".join(text(fields, full=True))
    assert "left out" not in whole and "x" * 9000 in whole and "\n    57\n" in whole


def test_deep_nesting() -> None:
    nested: object = 1
    for _ in range(2000):
        nested = [nested] * 2 if nested == 1 else [nested, "some text that makes the list too long for one line of the page"]
    assert text({"a": nested})[-1] == "  … nested too deeply …"
