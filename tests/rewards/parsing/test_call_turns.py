"""Turns that call tools: written and read as the same text and calls."""

from __future__ import annotations

import json

import pytest

from rewards.parsing.call_turns import join_call, join_results, split_call, split_results

CALLS = json.dumps([{"name": "f", "arguments": {"code": "print('<tool_call></tool_call><think></think>')"}}])


@pytest.mark.parametrize("text", ["", "Let me see.", "<think>\nR\n</think>\n\n", "<think>\nR\n</think>\n\nLet me see."])
def test_text_and_calls_are_read_back(text: str) -> None:
    before, calls = split_call(join_call(text, CALLS))
    assert before.removesuffix("\n") == text.removesuffix("\n")
    assert json.loads(calls) == json.loads(CALLS)


def test_results_are_read_back() -> None:
    assert split_results(join_results(["1\n", "", "3"])) == ["1\n", "", "3"]
