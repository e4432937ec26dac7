"""`pipeline report`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import msgspec
import pytest

from pipelines.cli import main as cli
from pipelines.records.manifest import write_manifest
from tests.pipelines.reports.making import make_manifest, make_run


def call(patch: pytest.MonkeyPatch, *words: object) -> int:
    patch.setattr(sys, "argv", ["pipeline", "report", *map(str, words)])
    with pytest.raises(SystemExit) as exited:
        cli.main()
    return int(exited.value.code or 0)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return make_run(tmp_path / "runs" / "toy", steps=5)


def test_a_file_in_the_run_directory(run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(monkeypatch, run) == 0
    assert (run / "report.html").read_text().startswith("<!DOCTYPE html>")
    assert f"report: {run / 'report.html'} (" in capsys.readouterr().err


def test_several_runs_in_the_current_folder(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = make_run(tmp_path / "runs" / "other", steps=5)
    monkeypatch.chdir(tmp_path)
    assert call(monkeypatch, run, other) == 0
    assert "toy · other" in (tmp_path / "report.html").read_text()


def test_json(run: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert call(monkeypatch, run, "--json") == 0
    page = json.loads(capfdbinary.readouterr().out)
    assert (page["version"], page["runs"][0]["name"]) == (1, "toy")
    assert not (run / "report.html").exists()


def test_bad_input(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "runs" / "folder").mkdir()
    write_manifest(tmp_path / "runs" / "later", msgspec.structs.replace(make_manifest("later"), version=9))
    for words, expected in (
        ([tmp_path / "runs" / "toyy"], "did you mean 'toy'?"),
        ([tmp_path / "runs" / "folder"], "is not a run: it has no run.json"),
        ([tmp_path / "runs" / "later"], "is a run of a later version"),
        ([run, run], "is given twice"),
        ([run, "-o", tmp_path], "is a folder; expected a file, such as"),
    ):
        assert call(monkeypatch, *words) == 2, words
        error = capsys.readouterr().err
        assert error.startswith("error: ") and expected in error and error.count("\n") == 1, error
