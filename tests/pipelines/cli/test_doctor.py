"""`pipeline doctor`: its output at any width, and its error where programs cannot be isolated."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli import doctor, main

SAFE: dict[str, Any] = {
    "offered": [["namespaces", "yes"], ["Landlock", "yes, ABI 7"]],
    "in_force": [["isolation", "namespaces"], ["files", "a read-only Python and an empty folder in memory " * 3]],
    "measured": [["start", "0.10 s"]],
    "problem": "",
}


def _print(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], report: dict[str, Any], columns: int
) -> tuple[int, str]:
    monkeypatch.setattr(doctor, "_examine", lambda _: report)
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(sys, "argv", ["pipeline", "doctor"])
    with pytest.raises(SystemExit) as exited:
        main.main()
    written = capsys.readouterr()
    return int(exited.value.code or 0), written.out + written.err


@pytest.mark.parametrize("columns", [80, 200])
def test_the_output_fits_the_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, text = _print(monkeypatch, capsys, SAFE, columns)
    assert status == 0
    lines = text.splitlines()
    assert [line for line in lines if len(line) > columns and "/" not in line] == []
    assert "  isolation       namespaces" in lines
    assert lines[-1] == "next: pipeline run smoke.yaml"


def test_missing_isolation_is_an_error(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    problem = "this machine offers no sound isolation for untrusted programs (namespaces: unshare: Operation not permitted)"
    status, text = _print(monkeypatch, capsys, {**SAFE, "in_force": [], "measured": [], "problem": problem}, 200)
    assert status == 1
    assert f"  NOT SAFE        {problem}"[:110] in text
    assert "error: rewards cannot run untrusted programs safely in the environment of: pipeline" in text


def test_the_sandbox_of_a_python_is_examined(capsys: pytest.CaptureFixture[str]) -> None:
    report = doctor._examine(Path(sys.executable))
    assert report["problem"] or dict(report["in_force"])["isolation"]
    assert {name for name, _ in report["offered"]} == {"namespaces", "seccomp", "Landlock", "bubblewrap"}
    if not report["problem"]:
        assert {name for name, _ in report["measured"]} == {"start", "program", "memory"}


def test_a_missing_python() -> None:
    assert "No such file" in doctor._examine(Path("/nowhere/python"))["problem"]
