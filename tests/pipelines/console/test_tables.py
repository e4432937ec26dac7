"""Tables fit the terminal, as lists if it is narrow; untrusted text cannot control it."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

import pytest

from pipelines.console.tables import escape_controls, field_lines, print_rows

HEADER = ("algorithm", "critic", "samples", "description")
LINES: list[tuple[str, ...]] = [
    ("grpo", "no", "2", "the advantage is the score minus the mean of the prompt's samples"),
    ("ppo", "yes", "1", "a value model"),
]

Show = Callable[[int, tuple[str, ...], list[tuple[str, ...]]], list[str]]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Show:
    """Return a function that prints a table on a terminal of some columns and returns its lines without colours."""

    def show(columns: int, header: tuple[str, ...], lines: list[tuple[str, ...]]) -> list[str]:
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        print_rows(header, lines)
        return [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in capsys.readouterr().out.splitlines()]

    return show


def test_a_table_where_it_fits(terminal: Show) -> None:
    lines = terminal(120, HEADER, LINES)
    assert lines[0].split() == list(HEADER)
    assert lines[1].startswith("grpo       no      2        the advantage")


def test_text_is_folded_while_it_is_readable(terminal: Show) -> None:
    lines = terminal(60, HEADER, LINES)
    assert lines[0].split() == list(HEADER) and len(lines) > 3
    assert max(map(len, lines)) <= 60


def test_a_list_where_a_table_would_be_worse(terminal: Show) -> None:
    assert terminal(50, HEADER, LINES) == [
        "grpo  critic no, samples 2",
        "  the advantage is the score minus the mean of the",
        "  prompt's samples",
        "ppo  critic yes, samples 1",
        "  a value model",
    ]


def test_long_cells_of_a_list(terminal: Show) -> None:
    header = ("stage", "reward", "rows", "source", "result")
    lines = terminal(50, header, [("stage-one", "a" * 30, "1,000", "programs.py", "WRONG: " + "too few " * 8)])
    assert lines[:3] == ["stage-one", f"  reward {'a' * 30}, rows", "  1,000"]
    assert "  source  programs.py" in lines and max(map(len, lines)) <= 50


def test_fields_are_aligned_and_wrapped() -> None:
    assert list(field_lines([("type", "a whole number"), ("", "x " * 20)], 40, indent=2)) == [
        "  type  a whole number",
        "        x x x x x x x x x x x x x x x x",
        "        x x x x",
    ]


def test_control_characters_are_escaped() -> None:
    hostile = "a\x1b]0;title\x07\x9b31m\u202e\u200b\ud800\u2028\r\nb"
    assert escape_controls(hostile) == "a\\x1b]0;title\\x07\\x9b31m\\u202e\\u200b\\ud800\\u2028\\r\\nb"
    assert escape_controls(hostile, keep="\n").endswith("\\r\nb")


def test_other_scripts_are_unchanged() -> None:
    for text in ("naïve", "数学　題", "a b", "→ … 🙂"):
        assert escape_controls(text) == text
