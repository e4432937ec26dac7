"""`pipeline rewards`: on a terminal, and in a pipe."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli import main as cli
from pipelines.console.reward_tables import count_bands, render_summary
from preprocess.rows import Message, RlRow
from rewards.builtin.white_box_rows import make_reference
from rewards.trial.offline import Scored
from tests.rows import write_rows

Call = Callable[..., tuple[int, str, str]]

TRUTH: dict[str, Any] = {
    "type": "io_mixed",
    "func_str": "def f(a):\n    return a",
    "func_name": "f",
    "func_args": "1",
    "result": "1",
    "question_answers": {"path_answers": [["-1"]], "state_as": [[["int", "1"]]]},
}

PLUGIN = '''
from rewards.registry import register

@register("mine", reference=lambda truth, info: "pass", cheats=lambda truth, info: {"itself": "assert True"})
def mine(data_source, solution_str, ground_truth, extra_info, *, word="pass", weight: float):
    """Pays for a word."""
    return {"score": weight * (word in solution_str or "assert" in solution_str), "accuracy": float("assert" in solution_str)}
'''


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    """Call `pipeline rewards …` in a folder with rows.parquet, responses.jsonl and mine.py."""
    monkeypatch.chdir(tmp_path)
    prompt, truth = (Message("user", "?"),), {**TRUTH, "func_args": str(1)}
    rows = [RlRow(problem=str(n), id=f"row/{n}", data_source="d", prompt=prompt, ground_truth=truth) for n in range(3)]
    write_rows(tmp_path / "rows.parquet", rows, "rl")
    right = make_reference(json.dumps(TRUTH), {})
    lines = [{"id": "row/0", "response": [right, right.replace("-1", "return a")]}, {"index": 2, "response": "pass"}]
    (tmp_path / "responses.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / "mine.py").write_text(PLUGIN)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pipeline", "rewards", *arguments])
        with pytest.raises(SystemExit) as exited:
            cli.main()
        out, err = capsys.readouterr()
        return int(exited.value.code or 0), out, err

    return run


def test_list_has_name_source_options_and_help(call: Call) -> None:
    status, out, _ = call("list", "--file", "mine.py")
    rows = {line.split("\t")[0]: line.split("\t") for line in out.splitlines()}
    assert status == 0
    assert rows["name"] == ["name", "source", "options", "help"]
    assert rows["white_box"][1:3] == ["built-in", "best=2.0 format_bonus=0.0 seconds=2.0"]
    assert rows["mine"][2:] == ['word="pass" weight=(required)', "Pays for a word."]


def test_try_prints_scores_and_reasons(call: Call, tmp_path: Path) -> None:
    status, out, err = call("try", "white_box", "--rows", "rows.parquet", "--responses", "responses.jsonl", "-o", "out.jsonl")
    assert status == 0
    assert [line.split("\t") for line in out.splitlines()] == [
        ["id", "score", "accuracy", "format", "reason"],
        ["row/0", "2", "1", "1", ""],
        ["row/0", "1.5", "0.75", "1", "question 1: return a; expected -1"],
        ["row/2", "0", "0", "0", "no answer in the response"],
    ]
    assert err.splitlines()[0] == "3 responses: mean score 1.167, mean accuracy 0.5833, 67% well formed"
    written = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert written[1] == {
        "id": "row/0", "index": 0, "score": 1.5, "accuracy": 0.75, "format": 1.0, "failed": None,
        "reasons": ["question 1: return a; expected -1"],
    }  # fmt: skip


def test_options_are_typed(call: Call) -> None:
    asked = ("try", "white_box", "--rows", "rows.parquet", "--responses", "responses.jsonl")
    assert call(*asked, "--option", "best=10")[1].splitlines()[1].startswith("row/0\t10\t1")
    status, _, err = call(*asked, "--option", "best=much")
    assert (status, err) == (2, "error: reward white_box: option best is 'much', expected float such as 2.0\n")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("try", "white_bx", "--rows", "rows.parquet", "--responses", "responses.jsonl"), "did you mean 'white_box'?"),
        (("try", "white_box", "--rows", "none.parquet", "--responses", "responses.jsonl"), "file none.parquet not found"),
        (("try", "white_box", "--rows", "mine.py", "--responses", "responses.jsonl"), "mine.py is not a readable parquet file"),
        (("try", "white_box", "--rows", "rows.parquet", "--responses", "mine.py"), "mine.py:2: not JSON"),
        (("check", "white_box", "--rows", "rows.parquet", "--option", "x"), "--option x: expected KEY=VALUE"),
        (("check", "mine", "--rows", "rows.parquet", "--file", "mine.py"), "needs the option 'weight'"),
        (("check", "mine", "--rows", "rows.parquet", "--file", "none.py"), "none.py"),
    ],
)
def test_mistakes_are_one_line_and_status_2(call: Call, arguments: tuple[str, ...], line: str) -> None:
    status, out, err = call(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith("error: ") and line in err and err.count("\n") == 1


def test_check_of_a_correct_reward(call: Call) -> None:
    status, out, err = call("check", "white_box", "--rows", "rows.parquet", "--sample", "2")
    assert (status, out) == (0, "")
    assert err.startswith("2 rows (of 3): 2 reference solutions and ")


def test_check_reports_answers_that_cost_nothing(call: Call, tmp_path: Path) -> None:
    truths = [
        {"inputs": ["1", "3", "5", "6"], "outputs": ["ODD", "ODD", "ODD", "EVEN"]},
        {"inputs": ["1", "2"], "outputs": ["", "2"]},
        {"inputs": ["7"], "outputs": ["49"]},
    ]
    prompts = [(Message("user", text),) for text in ("Odd?", "Print even numbers.", "Square. Input: 7, output: 49")]
    rows = [
        RlRow(problem=str(n), id=str(n), data_source="a" if n < 2 else "b", prompt=prompt, ground_truth=truth)
        for n, (prompt, truth) in enumerate(zip(prompts, truths, strict=True))
    ]
    write_rows(tmp_path / "tests.parquet", rows, "rl")
    status, out, _ = call("check", "code_tests", "--rows", "tests.parquet")
    assert status == 0
    assert [line.split("\t") for line in out.splitlines()] == [
        ["source", "rows", "nothing", "constant", "per row", "in prompt", "blank"],
        ["a", "2", "0.25", "0.38 (print ODD)", "0.62", "0", "1 (50%)"],
        ["b", "1", "0", "1 (print 49)", "1", "1 (100%)", "0"],
    ]


def test_check_of_a_reward_that_can_be_cheated(call: Call) -> None:
    status, out, err = call(
        "check", "mine", "--rows", "rows.parquet", "--file", "mine.py", "--option", "weight=1.0", "--sample", "1"
    )
    assert status == 1
    assert [line.split("\t") for line in out.splitlines()] == [
        ["id", "what", "score", "accuracy", "expected", "reason"],
        ["row/0", "reference", "1", "0", "accuracy 1", ""],
        ["row/0", "cheat: itself", "1", "1", "accuracy 0", ""],
    ]
    assert "error: reward mine gives 2 wrong scores, first on row row/0; fix the reward" in err


@pytest.mark.parametrize("width", [80, 200])
def test_on_a_terminal(call: Call, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    status, out, _ = call("try", "white_box", "--rows", "rows.parquet", "--responses", "responses.jsonl")
    assert status == 0
    assert "accuracy 0.6 to 0.8       1  ####" in out
    _, checked, _ = call("check", "white_box", "--rows", "rows.parquet")
    assert "every reference solution gets full marks, and every cheat gets none" in checked
    _, listed, _ = call("list")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", out + checked + listed)
    assert "question 1: return a; expected -1" in plain and "row/0" in plain and "format_bonus=0.0" in plain
    assert max(len(line) for line in plain.splitlines()) <= width


def test_help_has_examples(call: Call) -> None:
    for command in ("try", "check"):
        status, out, _ = call(command, "--help")
        assert status == 0 and f"pipeline rewards {command}" in out


def test_bands_and_summary() -> None:
    assert count_bands([0.0, 0.1, 0.2, 0.5, 0.99, 1.0, 1.0]) == {
        "0": 1, "above 0": 1, "0.2 to 0.4": 1, "0.4 to 0.6": 1, "0.6 to 0.8": 0, "0.8 to 1": 1, "1": 2,
    }  # fmt: skip
    assert render_summary([Scored(0.0, failed="broken")]) == "1 responses, 1 failed"
    assert render_summary([Scored(1.0), Scored(2.0)]) == "2 responses: mean score 1.5"
