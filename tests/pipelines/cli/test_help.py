"""The help of every command: in words, in 80 columns, in groups; mistakes in arguments are one line."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from pipelines.cli import help as helping
from pipelines.cli.main import app
from tests.pipelines.conftest import Call
from tests.terminal import pipeline, show


def _commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield words
    for name, each in getattr(command, "commands", {}).items():
        yield from _commands(each, (*words, name))


COMMANDS = list(_commands(get_command(app)))

# `<path>`, `<str>`, `list[str]`, `{RECIPE}`, `x>=1`; JSON in an example is none of them.
NOTATION = re.compile(r"<[^>]*>|list\[|\{[A-Z]+\}|\bx[<>]=|<=x")


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words) or "pipeline")
def test_help_is_in_words_and_fits_80_columns(words: tuple[str, ...], call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    status, out, _ = call(*words, "--help")
    assert status == 0
    assert NOTATION.findall(out) == []
    assert [line for line in out.splitlines() if len(line) > 80] == []
    listed = [line for line in out.splitlines() if re.match(r"  \w+ .*\.\.\.$", line)]
    assert listed == [], "the first sentence of a command fits the list"
    assert call(*words, "-h")[1] == out


def test_commands_are_in_groups(call: Call) -> None:
    _, out, _ = call("--help")
    headings = [line.removesuffix(":") for line in out.splitlines() if re.fullmatch(r"\w.*:", line) and "Usage" not in line]
    groups = [group for group in helping._GROUPS if group in headings]
    assert headings == [*groups, "Options"], "every command has one of the groups"
    assert {"Start", "Run", "Measure"} <= {*groups}


def test_an_option_is_described_in_words(call: Call) -> None:
    _, out, _ = call("check", "--help")
    assert "Usage: pipeline check [OPTIONS] RECIPE" in out
    assert re.search(r"--sample N .*\[default: 16; at least 1\]", " ".join(out.split()))
    _, out, _ = call("data", "convert", "--help")
    assert "0 to 1]" in " ".join(out.split()) and "--isolation strong|weak" in out


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["rnu"], "error: no such command 'rnu'; did you mean 'run'?"),
        (["zzz"], "error: no such command 'zzz'; see `pipeline -h`"),
        (["run"], "error: missing argument 'RECIPE'; see `pipeline run -h`"),
        (["run", "smoke.yaml", "--untill", "sft"], "error: no such option: --untill; did you mean --until?"),
        (["run", "smoke.yaml", "--until"], "error: option '--until' requires an argument"),
        (["init", "mine"], "error: missing option '--from'; see `pipeline init -h`"),
        (["run", "smoke.yaml", "-q", "-v"], "error: use either --quiet or --verbose"),
        (["check", "smoke.yaml", "--sample", "0"], "error: invalid value for '--sample': "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_in_the_arguments_is_one_line(words: list[str], error: str, call: Call) -> None:
    status, out, err = call(*words)
    assert (status, out) == (2, "")
    assert err.startswith(error) and len(err.splitlines()) == 1


def test_no_command_prints_the_help(call: Call) -> None:
    status, out, err = call()
    assert status in (0, 2), "by the version of Typer"
    assert "pipeline run smoke.yaml" in out + err


def test_version(call: Call) -> None:
    status, out, _ = call("--version")
    assert status == 0
    first, *trainers = out.splitlines()
    assert re.fullmatch(r"pipeline \d+\.\d+\.\d+\S*, Python 3\.\d+\.\d+\S*", first)
    assert [line.split()[0] for line in trainers] == ["llamafactory", "verl"]
    assert all(re.fullmatch(r"\w+ [\d.]+: (built for cpu|.*builds it|.*)", line) for line in trainers)


def test_help_needs_no_rich() -> None:
    code = "import sys; sys.argv = ['pipeline', '--help']\nimport pipelines.cli.main as cli\n"
    code += "try: cli.main()\nexcept SystemExit: pass\n"
    code += "print(*sorted({'rich', 'pydantic', 'pyarrow', 'ruamel.yaml', 'shellingham'} & {*sys.modules}), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {*done.stderr.split()} <= {"shellingham"}


def test_only_the_command_that_is_called_is_built() -> None:
    for name in {words[0] for words in COMMANDS if words}:
        assert list(getattr(get_command(app.narrow(name)), "commands", {})) == [name]
    for word in ("", "--help", "pln"):
        assert app.narrow(word) is app


@pytest.mark.parametrize("columns", [60, 200])
def test_help_on_other_terminals(columns: int, tmp_path: Path) -> None:
    status, text = show(pipeline("run", "--help"), columns, tmp_path)
    assert status == 0
    assert max(map(len, text.splitlines())) <= min(columns, 80)
