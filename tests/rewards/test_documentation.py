"""The examples of docs/own-rewards.md, docs/rewards.md and docs/trying-rewards.md work as documented."""

from __future__ import annotations

import ast
import json
import re
import runpy
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from pipelines.cli import main as cli
from pipelines.recipe.loading import load
from pipelines.recipe.schema import RlStage
from rewards.builtin.bootcamp import find_class
from rewards.entry import compute_score_blocking
from rewards.parsing.answers import make_response
from rewards.plugins.loading import list_rewards
from rewards.programs.ground_truth import CallTests, read_tests
from rewards.programs.inside.judge.comparison import is_accepted_text
from rewards.registry import BUILT_IN
from rewards.scoring.combination import read_combination
from tests import ROOT

DOCS = ROOT / "docs"
PAGE, REWARDS, TRYING = (
    (DOCS / name).read_text(encoding="utf-8") for name in ("own-rewards.md", "rewards.md", "trying-rewards.md")
)
FILES = dict(re.findall(r"^```(?:python|yaml)\n# (\w+\.\w+)\n(.*?)^```$", PAGE + REWARDS + TRYING, re.M | re.S))
RIGHT = "<reasoning>It is what it is.</reasoning><answer>7</answer>"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "stop_words.txt").write_text("it is what\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rewards_of(recipe: str) -> list[dict[str, object]]:
    stage = next(stage for stage in load(Path(recipe)).recipe.stages if stage.name == "stage-one")
    assert isinstance(stage, RlStage)
    return [reward.model_dump() for reward in stage.rewards]


def test_example_scores(folder: Path) -> None:
    rewards = rewards_of("brief.yaml")
    assert compute_score_blocking("d", RIGHT, "7", rewards=rewards)["score"] == 1.0
    assert compute_score_blocking("d", RIGHT, "8", rewards=rewards)["score"] == 0.0
    long = compute_score_blocking("d", RIGHT + " word" * 60, "7", rewards=rewards)
    assert long["score"] == pytest.approx(1.0 - 0.01 * 2)
    assert (long["accuracy"], long["failed"]) == (1.0, 0.0)


def test_example_that_runs_programs(folder: Path) -> None:
    rewards = [{"name": "runs", "file": str(folder / "runs.py")}]
    scores = [
        compute_score_blocking("d", f"```python\n{code}\n```", "7", rewards=rewards) for code in ("print(3 + 4)", "exit(7)")
    ]
    assert [score["score"] for score in scores] == [1.0, 0.0]


def test_several_rewards_score_the_documented_rows(folder: Path) -> None:
    combination = read_combination(rewards_of("several.yaml"))
    taken = {source: [entry.key for entry in combination.matching_rewards(source)] for source in ("apps/x", "other")}
    assert taken == {"apps/x": ["code_tests_score", "brief_score"], "other": ["brief_score", "white_box_score"]}


BUILT_INS = [reward for reward in list_rewards() if reward.source == BUILT_IN]


def section(name: str) -> str:
    """Return the section of docs/rewards.md under a heading, up to the next of its level."""
    found = re.search(rf"^(##+) {name}\n(.*?)(?=^\1 |\Z)", REWARDS, re.M | re.S)
    assert found is not None, name
    return found[2]


def table(text: str, header: str) -> list[list[str]]:
    """Return the cells of the table whose first column has this header."""
    found = re.search(rf"^\| {header} \|.*\n\|-.*\n((?:\|.*\n)+)", text, re.M)
    assert found is not None, header
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in found[1].splitlines()]


def codes(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def blocks(kind: str, text: str) -> list[str]:
    return [block.replace("\n  ", "\n") for block in re.findall(rf"^ *```{kind}\n(.*?)^ *```$", text, re.M | re.S)]


def score(name: str, response: str, truth: str, **options: Any) -> dict[str, float]:
    rewards = [{"name": name, "options": options}]
    result = compute_score_blocking("d", response, truth, rewards=rewards)
    assert result["failed"] == 0.0
    return result


def test_every_reward_is_documented() -> None:
    listed = {codes(name)[0] for name, *_ in table(REWARDS, "reward")}
    assert listed == {reward.name for reward in BUILT_INS}
    assert {codes(name)[0] for name, *_ in table(TRYING, "reward") if codes(name)} == listed


@pytest.mark.parametrize("reward", BUILT_INS, ids=lambda reward: reward.name)
def test_every_option_is_documented_with_its_default(reward: Any) -> None:
    said = {codes(name)[0]: codes(default)[0] for name, default, _ in table(section(reward.name), "option")}
    assert said == {name: json.dumps(default) for name, default in reward.options.items()}


@pytest.mark.parametrize("name", ["rewarded.yaml", "mixed.yaml"])
def test_recipes_load(name: str, folder: Path) -> None:
    read_combination(
        [
            reward.model_dump()
            for stage in load(folder / name).recipe.stages
            if isinstance(stage, RlStage)
            for reward in stage.rewards
        ]
    )


def test_mixed_recipe_selects_rewards_by_data_source(folder: Path) -> None:
    combination = read_combination(rewards_of("mixed.yaml"))
    for source, taken in (
        ("bootcamp/game24", [("bootcamp", 1.0)]),
        ("apps/train", [("code_tests", 2.0)]),
        ("openai/gsm8k", [("verl", 1.0)]),
    ):
        assert [(entry.reward.name, entry.weight) for entry in combination.matching_rewards(source)] == taken


def test_white_box_example_and_assertions() -> None:
    text = section("white_box")
    [truth], [answer] = blocks("json", text), blocks("text", text)
    assert score("white_box", make_response(answer), truth)["score"] == 2.0
    further = answer.partition("\n")[2]
    for line, said in table(text, "first line"):
        share = score("white_box", make_response(f"{line.strip('`')}\n{further}"), truth)["accuracy"]
        assert (share == 1.0, share == 0.0) == (said.startswith("right"), said.startswith("wrong")), line


def test_white_box_state_answers() -> None:
    text = section("white_box")
    [row] = map(json.loads, blocks("json", text))
    for accepted, right, wrong in table(text, "accepted in the row"):
        row["question_answers"] = {"state_as": [[json.loads(codes(accepted)[0])]]}
        for line in codes(right) + codes(wrong):
            share = score("white_box", make_response(f"assert scale(3) == 6\n{line}"), json.dumps(row))["accuracy"]
            assert share == (1.0 if line in codes(right) else 0.5), line


def test_formats_of_tests() -> None:
    truths = blocks("json", section("code_tests"))
    assert [next(iter(json.loads(truth))) for truth in truths] == ["inputs", "fn_name", "functional", "pytest"]
    for truth in truths:
        assert score("code_tests", make_response(FILES["answer.py"]), truth)["score"] == 1.0
        assert score("code_tests", make_response(FILES["answer.py"].replace("a + b", "a - b")), truth)["score"] == 0.0


def test_checker() -> None:
    (checker,) = [block for block in blocks("python", section("code_tests")) if block.startswith("def check")]
    truth = json.dumps({"inputs": ["12\n", "35\n"], "checker": checker})
    response = make_response("n = int(input())\nd = next(d for d in range(2, n) if n % d == 0)\nprint(d, n // d)")
    assert score("code_tests", response, truth)["score"] == 1.0
    assert score("code_tests", make_response("print(1, int(input()))"), truth)["score"] == 0.0


def test_comparison_of_texts() -> None:
    for expected, accepted, refused in table(section("code_tests"), "expected text"):
        wanted, *_ = map(json.loads, codes(expected))
        assert all(is_accepted_text(json.loads(each), wanted) for each in codes(accepted)), expected
        assert not any(is_accepted_text(json.loads(each), wanted) for each in codes(refused)), expected


def test_comparison_of_values() -> None:
    for expected, accepted, refused in table(section("code_tests"), "expected value"):
        tests = read_tests(f'{{"fn_name": "f", "inputs": [[]], "outputs": [{codes(expected)[0]}]}}', 1)
        assert isinstance(tests, CallTests)
        [[(_, check)]] = tests.tests
        assert all(check.accepts(ast.literal_eval(each)) for each in codes(accepted)), expected
        assert not any(check.accepts(ast.literal_eval(each)) for each in codes(refused)), expected


def test_bootcamp_class() -> None:
    assert all(
        find_class(name) == "Game24bootcamp" and f"`{name}`" in REWARDS for name in ("bootcamp/game24", "bootcamp/Game24")
    )


def test_interpreter_example() -> None:
    [response] = blocks("text", section("interpreter"))
    truth = blocks("json", section("code_tests"))[2]
    assert score("interpreter", response, truth)["score"] == pytest.approx(1.1)


COMMANDS = re.findall(r"^\$ (pipeline .*)\n((?:(?!```).*\n)*)", TRYING, re.M)


@pytest.mark.parametrize(("command", "printed"), COMMANDS, ids=lambda text: " ".join(text.split()[2:6]))
def test_output_of_the_commands(
    command: str, printed: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runpy.run_path(str(folder / "examples.py"))
    monkeypatch.setattr(sys, "argv", shlex.split(command))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    for name, value in {"COLUMNS": "140", "LINES": "50", "TERM": "dumb"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as exited:
        cli.main()
    output = capsys.readouterr()
    assert [line.rstrip() for line in (output.out + output.err).splitlines()] == printed.splitlines()
    assert bool(exited.value.code) == ("error: " in printed)
