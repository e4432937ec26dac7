"""Untrusted text cannot control a terminal."""

from __future__ import annotations

from pipelines.console.tables import escape_controls


def test_control_characters_are_escaped() -> None:
    hostile = "a\x1b]0;title\x07\x9b31m\u202e\u200b\ud800\u2028\r\nb"
    assert escape_controls(hostile) == "a\\x1b]0;title\\x07\\x9b31m\\u202e\\u200b\\ud800\\u2028\\r\\nb"
    assert escape_controls(hostile, keep="\n").endswith("\\r\nb")


def test_other_scripts_are_unchanged() -> None:
    for text in ("naïve", "数学　題", "a b", "→ … 🙂"):
        assert escape_controls(text) == text
