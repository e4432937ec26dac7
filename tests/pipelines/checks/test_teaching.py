"""Rows that cannot teach: without a reward, with another tool, or fewer than a step needs."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pipelines.checks.findings import Report
from pipelines.checks.teaching import RowFacts, describe_batch, judge_rows, read_facts, refuse_few_rows, report_rows
from pipelines.errors import InputError
from pipelines.recipe.loading import Loaded, load
from pipelines.recipe.schema import RlStage, SftStage
from pipelines.trainers.base import StagePaths
from preprocess.rows import Message, RlRow, SftRow, Turn
from tests import ROOT
from tests.rows import write_rows

TOOL = "python_interpreter"
RECIPE = f"""\
name: small
model: {{make: qwen2}}
hardware: {{platform: cpu}}
stages:
  - name: sft
    kind: sft
    data:
      train: {{converter: programs_code, source: {ROOT}/recipes/data/programs.py}}
      validation: {{fraction: 0.1}}
    steps: 4
    learning_rate: 1.0e-5
    batch: {{per_device: 2, accumulate: 2}}
  - name: rl
    kind: rl
    algorithm: grpo
    data:
      train: {{converter: verl_rows, source: {ROOT}/recipes/data/programs.py}}
      validation: {{fraction: 0.1}}
    reward: code_tests
    steps: 4
    learning_rate: 1.0e-6
    batch: {{prompts: 4, mini: 4}}
    rollout: {{samples: 8, max_prompt_tokens: 256, max_response_tokens: 256}}
"""


def recipe(tmp_path: Path, *sets: str) -> Loaded:
    (tmp_path / "small.yaml").write_text(RECIPE)
    return load(tmp_path / "small.yaml", sets)


def found(loaded: Loaded, facts: RowFacts) -> tuple[list[str], list[str]]:
    """Return the mistakes in the recipe, and the notes."""
    stage = loaded.recipe.stages[1]
    report_rows(loaded, stage, facts, report := Report())
    return report.problems, [each.result for each in report.findings if each.verdict == "note"]


def facts(*sources: str, tools: dict[str, int] | None = None, complete: bool = True) -> RowFacts:
    return RowFacts(9, complete, Counter(sources), Counter(tools or {}))


@pytest.mark.parametrize(
    ("reward", "sources", "mistakes", "notes"),
    [
        ("code_tests", ["a", "b"], [], []),
        ("[{name: code_tests, data_source: 'a/*'}]", ["a/x", "a/y"], [], []),
        (
            "[{name: code_tests, data_source: 'no/*'}]",
            ["a/x"],
            ["no reward takes the rows of data source 'a/x'"],
            ["'no/*' takes"],
        ),
        ("[{name: code_tests}, {name: white_box, data_source: 'no/*'}]", ["a/x"], [], ["whose data sources are a/x"]),
        (
            "[{name: code_tests}, {name: white_box, data_source: 'programs/cod'}]",
            ["programs/code"],
            ["'programs/cod' takes none of the rows; did you mean 'programs/code'?"],
            [],
        ),
        # A source that has its own pattern is not what another one means.
        (
            "[{name: code_tests, data_source: 'game/24'}, {name: white_box, data_source: 'game/25'}]",
            ["game/24"],
            [],
            ["'game/25' takes none"],
        ),
        (
            "[{name: code_tests, data_source: 'a'}, {name: white_box, weight: 0}]",
            ["a", "b"],
            ["the rows of data source 'b' get only white_box, without a positive weight"],
            [],
        ),
    ],
)
def test_rewards_and_rows(tmp_path: Path, reward: str, sources: list[str], mistakes: list[str], notes: list[str]) -> None:
    got = found(recipe(tmp_path, f"stages.rl.reward=!replace {reward}"), facts(*sources))
    for lines, parts in zip(got, (mistakes, notes), strict=True):
        assert len(lines) == len(parts)
        assert all(part in line for line, part in zip(lines, parts, strict=True))


def test_the_first_rows_do_not_show_what_others_have(tmp_path: Path) -> None:
    loaded = recipe(
        tmp_path,
        f"stages.rl.tool={{name: {TOOL}}}",
        "stages.rl.reward=!replace [{name: code_tests}, {name: code_tests, data_source: 'a/xy'}]",
    )
    mistakes, notes = found(loaded, facts("a/x", complete=False))
    assert not mistakes
    assert [note.partition(",")[0] for note in notes] == [
        "'a/xy' takes none of the first rows; did you mean 'a/x'?",
        f"none of the first rows names the tool {TOOL}",
    ]


@pytest.mark.parametrize(
    ("tool", "named", "mistake"),
    [
        (True, {TOOL: 3}, ""),
        (False, {}, ""),
        (True, {}, f"stages.rl.tool: no row names the tool {TOOL}"),
        (False, {TOOL: 3}, f"3 rows name the tool {TOOL}, which the stage does not have"),
    ],
)
def test_tools_and_rows(tmp_path: Path, tool: bool, named: dict[str, int], mistake: str) -> None:
    sets = [f"stages.rl.tool={{name: {TOOL}}}"] if tool else []
    mistakes, _ = found(recipe(tmp_path, *sets), facts("a", tools=named))
    assert len(mistakes) == bool(mistake)
    assert all(mistake in line for line in mistakes)


def test_rows_of_a_step(tmp_path: Path) -> None:
    sft, rl = recipe(tmp_path, "hardware.gpus_per_node=2").recipe.stages
    loaded = recipe(tmp_path, "hardware.gpus_per_node=2")
    assert describe_batch(sft, loaded.recipe, 7) == "7 rows in total, fewer than the 8 rows of one step"
    assert describe_batch(sft, loaded.recipe, 8) == ""
    assert describe_batch(rl, loaded.recipe, 3) == "3 rows in total, fewer than the 4 prompts of one step"


def rl_row(name: str, tools: tuple[str, ...] = ()) -> RlRow:
    return RlRow(problem=name, id=name, data_source=name, prompt=(Message("user", "?"),), ground_truth={}, tools=tools)


def prepare(paths: StagePaths, train: list[Any], validation: list[Any]) -> None:
    paths.data.mkdir(parents=True)
    for split, rows in (("train", train), ("validation", validation)):
        write_rows(paths.data / f"{split}.parquet", rows, "rl" if isinstance(rows[0], RlRow) else "sft")


def test_prepared_rows_are_judged(tmp_path: Path) -> None:
    loaded, paths = recipe(tmp_path), StagePaths(tmp_path / "rl")
    stage = loaded.recipe.stages[1]
    assert isinstance(stage, RlStage)
    prepare(paths, [rl_row("a"), rl_row("a", (TOOL,)), rl_row("b")], [rl_row("c")])
    read = read_facts(stage, paths)
    assert (read.train, read.complete, read.sources, read.tools) == (3, True, {"a": 2, "b": 1, "c": 1}, {TOOL: 1})
    with pytest.raises(InputError) as caught:
        judge_rows(loaded, stage, paths)
    tool, batch = str(caught.value).splitlines()
    assert tool.endswith(f"stages.rl.data: 1 row names the tool {TOOL}, which the stage does not have: add `tool`")
    assert batch.endswith("small.yaml:22: stages.rl.batch: 3 rows in total, fewer than the 4 prompts of one step")


def test_rows_that_are_left_are_judged(tmp_path: Path) -> None:
    loaded, paths = recipe(tmp_path, "stages.sft.data.overlong=leave_out"), StagePaths(tmp_path / "sft")
    stage = loaded.recipe.stages[0]
    assert isinstance(stage, SftStage)
    rows = [SftRow("p", (Turn("human", "?"), Turn("gpt", "!")))] * 4
    prepare(paths, rows, rows[:1])
    assert judge_rows(loaded, stage, paths) == []
    refuse_few_rows(loaded, stage, paths)
    files = {"train": {"rows": 4, "over": 1}, "validation": {"rows": 1, "over": 0}}
    paths.prompts.write_text(json.dumps({"limit": 9, "overlong": "leave_out", "files": files}))
    with pytest.raises(InputError, match=r"3 rows in total, .* 4 rows of one step: 1 row longer than 9 tokens was left out$"):
        refuse_few_rows(loaded, stage, paths)
    paths.prompts.write_text(json.dumps({"limit": 9, "overlong": "cut", "files": files}))
    refuse_few_rows(loaded, stage, paths)
