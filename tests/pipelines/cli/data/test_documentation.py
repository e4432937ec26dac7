"""The commands of docs/data.md print what the page shows."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from pipelines.cli import main as cli
from preprocess.converters import CONVERTERS
from tests import ROOT

PAGE = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^\$ (.*)\n((?:(?!```|\$ ).*\n)*)", PAGE, re.M)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with the page's tasks.jsonl and tasks.yaml."""
    for kind, name in (("json", "tasks.jsonl"), ("yaml", "tasks.yaml")):
        [text, *_] = re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.M | re.S)
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for name, value in {"COLUMNS": "140", "LINES": "50", "TERM": "dumb"}.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def run(command: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> list[str]:
    """Return the output of a command, without progress lines and with the page's times."""
    words = shlex.split(command)
    if words[0] == "pipeline":
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit):
            cli.main()
    else:
        subprocess.run(words, check=True)
    said = capfd.readouterr()
    lines = [re.sub(r"\b\d+:\d\d\b", "0:01", line.rstrip()) for line in (said.err + said.out).splitlines()]
    return [line for line in lines if not re.match(r"\[\d/\d\] \S+: \d+%", line)]


def test_printed_output(folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    assert len(COMMANDS) == 6
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    for command, printed in COMMANDS:
        assert run(command, monkeypatch, capfd) == printed.splitlines(), command


def test_every_converter_is_in_the_table() -> None:
    rows = re.findall(r"^\| \[`(\w+)`\]\(converters/(\w+)\.md\) \| ([a-z, ]+) \| (.*) \|$", PAGE, re.M)
    assert [name for name, *_ in rows] == [page for _, page, *_ in rows]
    assert {(name, shapes, said) for name, _, shapes, said in rows} == {
        (name, ", ".join(each.shapes), each.help) for name, each in CONVERTERS.items()
    }
