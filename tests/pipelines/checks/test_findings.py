"""The table of findings: on a terminal, and tab-separated lines elsewhere."""

from __future__ import annotations

import sys

import pytest

from pipelines.checks.findings import Finding, Report

REPORT = Report(
    [
        Finding("machine", "GPUs", "none; the recipe needs 8", "wrong"),
        Finding("machine", "disk", "about sft 3 x 112.0 GB + 14.0 GB + stage-one 3 x 84.0 GB + 14.0 GB: 614.0 GB; 9.0 GB free"),
        Finding("sft", "rows of a source", "12 rows from all 13 records; 1 rejected", "note"),
        Finding("sft", "verl", "not asked", "unchecked"),
    ]
)


def test_lines_are_complete_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    REPORT.print()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "about\twhat\tresult"
    assert [line.split("\t")[0] for line in lines[1:]] == ["machine", "machine", "sft", "sft"]
    assert lines[1] == "machine\tGPUs\tWRONG: none; the recipe needs 8"
    assert lines[4] == "sft\tverl\tNOT CHECKED: not asked"


@pytest.mark.parametrize("columns", [80, 200])
def test_the_table_fits_the_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "dumb")
    REPORT.print()
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= columns
    assert [line.split()[0] for line in lines if line[:1].strip()] == ["about", "machine", "sft"], "each name once"


def test_every_wrong_finding_is_an_error() -> None:
    assert REPORT.errors() == ["machine: GPUs: none; the recipe needs 8"]
    assert REPORT.unchecked


def test_mistakes_come_first_and_are_stated_once() -> None:
    found = Finding("rl", "rows", "3 rows in total", "wrong")
    report = Report([*REPORT.findings, found], ["x.yaml:3: stages.rl.batch: 3 rows in total"])
    reward = "stage rl: reward mine on a source"
    expected = [*report.problems, "machine: GPUs: none; the recipe needs 8", f"{reward}: 2 wrong scores"]
    assert report.errors([(reward, "2 wrong scores"), (reward, "3 rows in total")]) == expected
