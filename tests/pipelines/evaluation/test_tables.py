"""Tables: the text, and that 80 columns are enough."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from pipelines.evaluation.chain import read_chain
from pipelines.evaluation.comparison import compare
from pipelines.evaluation.readiness import judge
from pipelines.evaluation.statistics import Figure
from pipelines.evaluation.summarising import summarise
from pipelines.evaluation.summary import Summary, read_summary
from pipelines.evaluation.tables import (
    chain_tables,
    comparison_table,
    print_tables,
    readiness_lines,
    show,
    show_difference,
    summary_tables,
)
from tests.pipelines.evaluation.making import evaluation, problem, response, responses


def make_summary(name: str = "own") -> Summary:
    problems = [problem(str(row), tags={"difficulty": ("introductory", "competition")[row % 2]}) for row in range(200)]
    found = [
        response(
            each.row, sample, float(int(each.row) < 100 * sample), share=0.5, has_form=True, finish=("stop", "length")[sample]
        )
        for each in problems
        for sample in (0, 1)
    ]
    found[0] = response("0", 0, None, failed="the sandbox has no memory")
    problems.append(problem("incomplete"))
    one = summarise(problems, found, name=name, samples=2, temperature=0.8)
    return Summary(target="runs/x/sft", model="model", sets={name: one})


def test_summary_tables() -> None:
    figures, bands = summary_tables(make_summary())
    assert figures.title == "own: 200 problems, 2 samples at temperature 0.8 (in percent, 95 % interval)"
    assert figures.header == ("set", "what", "figure", "value", "problems")
    assert [line[1:3] for line in figures.lines] == [
        ("all", "pass@1"),
        ("all", "pass@2"),
        ("all", "tests"),
        ("difficulty competition", "pass@1"),
        ("difficulty introductory", "pass@1"),
    ]
    assert figures.lines[0][3].startswith("25.0 (2") and figures.lines[0][4] == "200"
    assert figures.notes == (
        "400 responses: 50 % cut, 100 % in the asked form, 1 failed",
        "tokens: mean 10, median 10, 90 % up to 10, longest 10",
        "1 of 201 problems lack responses and are in no figure; start `pipeline evaluate` again to resume",
        "failed 1 times, counted as wrong: the sandbox has no memory",
    )
    assert bands.lines[0] == ("own", "all", "0.2", "0.0", "99.8", "0.0", "0.0")


def test_figures_in_words() -> None:
    assert show("pass@1", Figure(value=0.4146, low=0.341, high=0.4881, problems=164)) == "41.5 (34.1 to 48.8)"
    assert show("score", Figure(value=1.1, low=0.9, high=1.3, problems=8)) == "1.100 (0.900 to 1.300)"
    assert show_difference("pass@1", Figure(value=0.037, low=-0.006, high=0.08, problems=164)) == "+3.7 (-0.6 to 8.0)"
    assert show_difference("pass@1", Figure(value=-0.00001, low=-0.01, high=0.0, problems=164)) == "0.0 (-1.0 to 0.0)"


def test_comparison_table(tmp_path: Path) -> None:
    first = evaluation(tmp_path / "a", {"own": {"1": (1.0, 0.0), "2": (0.0, 0.0), "3": (0.0, 0.0)}, "gone": {"1": (1.0,)}})
    second = evaluation(tmp_path / "b", {"own": {"1": (1.0, 1.0), "2": (0.0, 0.0)}})
    table = comparison_table(compare(first, second))
    assert table.title == "first: a; second: b (in percent, 95 % interval)"
    assert table.lines[0][:4] == ("own", "pass@1", "25.0", "50.0")
    assert table.lines[0][4].startswith("+25.0 (") and table.lines[0][5] == "1 / 0 / 1"
    assert table.notes == (
        "own: 1 problems only in the first, 0 only in the second: not compared",
        "own: the models are not distinguishable in pass@1: the interval contains 0",
        f"not compared: gone: only {first} has it",
    )


def test_chain_tables(tmp_path: Path) -> None:
    base = evaluation(tmp_path / "base", {"own": {"1": (0.0,), "2": (0.0,)}}, 0.0)
    sft = evaluation(tmp_path / "sft", {"own": {"1": (1.0,), "2": (0.0,)}}, 0.0)
    last = evaluation(tmp_path / "one", {"own": {"1": (1.0,), "2": (1.0,)}, "more": {"1": (1.0,)}}, 0.0)
    own, more = chain_tables(read_chain([("base", base), ("sft", sft), ("stage-one", last)]))
    assert own.title == "own: pass@1, greedy (in percent, 95 % interval)"
    assert [line[1] for line in own.lines] == ["base", "sft", "stage-one", "base -> stage-one"]
    assert [line[3].partition(" ")[0] for line in own.lines] == ["", "+50.0", "+50.0", "+100.0"]
    assert [line[1] for line in more.lines] == ["stage-one"]
    assert own.notes == ()


def test_chain_with_other_sampling(tmp_path: Path) -> None:
    base = evaluation(tmp_path / "base", {"own": {"1": (0.0,)}}, 0.0)
    sft = evaluation(tmp_path / "sft", {"own": {"1": (1.0, 0.0)}}, 0.8)
    (own,) = chain_tables(read_chain([("base", base), ("sft", sft)]))
    assert own.lines[1][3] == ""
    assert own.notes == ("own: greedy and 2 samples at temperature 0.8 are not comparable",)


def test_readiness_lines() -> None:
    rows: dict[str, tuple[float, float]] = {str(n): (1.0, float(n % 2)) for n in range(100)}
    summary = summarise(map(problem, rows), responses(rows), name="own", samples=2, temperature=1.0)
    lines = readiness_lines(judge(summary))
    assert lines[0] == "prompts: 0 % always fail, 50 % always pass, 50 % mixed (40 to 60)"
    assert lines[1].startswith("one sample passes 75.0 (") and ", one of all 100.0 (" in lines[1]
    assert lines[2] == "ready for RL: 50 % of prompts are mixed: enough for GRPO"


def test_eighty_columns_are_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """No cell is cut, and no line is longer than the terminal."""
    name = "livecodebench-functions"
    rows = {str(row): (float(row % 2),) for row in range(300)}
    better = {str(row): (float(row % 3 != 0),) for row in range(300)}
    folders = [evaluation(tmp_path / "a", {name: rows}, 0.0), evaluation(tmp_path / "b", {name: better}, 0.0)]
    names = ["base", "stage-one-of-a-long-name", "stage-two-of-a-long-name"]
    chain = read_chain(list(zip(names, [*folders, folders[0]], strict=True)))
    tables = [*summary_tables(make_summary(name)), comparison_table(compare(*folders)), *chain_tables(chain)]
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    print_tables([*tables, *summary_tables(read_summary(folders[0]))])
    shown = capsys.readouterr().out
    assert "…" not in shown
    lines = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in shown.splitlines()]
    assert [line for line in lines if len(line) > 80 and "/" not in line] == []
    assert all(any(line.startswith(each) for line in lines) for each in (*names, "base ->"))


def test_lines_for_other_programs(capsys: pytest.CaptureFixture[str]) -> None:
    """Titles and notes are not among the rows."""
    print_tables(summary_tables(make_summary()))
    shown = capsys.readouterr()
    lines = [line.split("\t") for line in shown.out.splitlines()]
    assert lines[0] == ["set", "what", "figure", "value", "problems"]
    assert lines[1][:3] == ["own", "all", "pass@1"]
    assert "400 responses: 50 % cut" in shown.err
