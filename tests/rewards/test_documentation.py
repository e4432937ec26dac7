"""The examples of docs/own-rewards.md do what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pipelines.recipe.loading import load
from pipelines.recipe.schema import RlStage
from rewards.combination import read_combination
from rewards.entry import compute_score_blocking

PAGE = (Path(__file__).resolve().parents[2] / "docs/own-rewards.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^```(?:python|yaml)\n# (\w+\.\w+)\n(.*?)^```$", PAGE, re.M | re.S))
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


def test_the_example_scores(folder: Path) -> None:
    rewards = rewards_of("brief.yaml")
    assert compute_score_blocking("d", RIGHT, "7", rewards=rewards)["score"] == 1.0
    assert compute_score_blocking("d", RIGHT, "8", rewards=rewards)["score"] == 0.0
    long = compute_score_blocking("d", RIGHT + " word" * 60, "7", rewards=rewards)
    assert long["score"] == pytest.approx(1.0 - 0.01 * 2)
    assert (long["accuracy"], long["failed"]) == (1.0, 0.0)


def test_the_example_that_runs_programs(folder: Path) -> None:
    rewards = [{"name": "runs", "file": str(folder / "runs.py")}]
    scores = [
        compute_score_blocking("d", f"```python\n{code}\n```", "7", rewards=rewards) for code in ("print(3 + 4)", "exit(7)")
    ]
    assert [score["score"] for score in scores] == [1.0, 0.0]


def test_several_rewards_take_the_rows_that_the_page_says(folder: Path) -> None:
    combination = read_combination(rewards_of("several.yaml"))
    taken = {source: [entry.key for entry in combination.takers(source)] for source in ("apps/x", "other")}
    assert taken == {"apps/x": ["code_tests_score", "brief_score"], "other": ["brief_score", "white_box_score"]}
