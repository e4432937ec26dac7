"""`pipeline check` of an evaluation set."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pipelines.cli import main as cli
from preprocess.converters import CONVERTERS

SET = "name: mine\ndata: {converter: humaneval, source: rows.jsonl}\nreward: code_tests\nmetric: pass@1\nnote: Ours.\n"


def check(name: str, monkeypatch: pytest.MonkeyPatch, *options: str) -> int:
    monkeypatch.setattr(sys, "argv", ["pipeline", "check", name, *options])
    with pytest.raises(SystemExit) as exited:
        cli.main()
    return int(exited.value.code or 0)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(SET, encoding="utf-8")
    Path("rows.jsonl").write_bytes(CONVERTERS["humaneval"].example.read_bytes())


def test_set_file(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert check("mine.yaml", monkeypatch, "--sample", "2") == 0
    assert capsys.readouterr().err.splitlines() == [
        "set mine: the first 2 problems from 2 records",
        "note: Ours.",
        "no problems found",
    ]


@pytest.mark.parametrize(
    ("name", "message"),
    [("mine.yaml", "mine.yaml:3: reward: no reward is called 'code_test'"), ("humaneval", "set humaneval: ")],
)
def test_mistakes(name: str, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.yaml").write_text(SET.replace("code_tests", "code_test"), encoding="utf-8")
    assert check(name, monkeypatch) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {message}")
    assert len(error.splitlines()) == 1
