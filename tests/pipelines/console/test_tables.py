"""What untrusted text may do to a terminal: nothing."""

from __future__ import annotations

from pipelines.console.tables import escape_controls


def test_nothing_steers_the_terminal() -> None:
    hostile = "a\x1b]0;title\x07\x9b31m\u202e\u200b\ud800\u2028\r\nb"
    assert escape_controls(hostile) == "a\\x1b]0;title\\x07\\x9b31m\\u202e\\u200b\\ud800\\u2028\\r\\nb"
    assert escape_controls(hostile, keep="\n").endswith("\\r\nb")


def test_writing_stays_as_it_is() -> None:
    for text in ("naïve", "数学　題", "a b", "→ … 🙂"):
        assert escape_controls(text) == text
