"""What the plugin keeps of verl's responses; tests/real shows it in verl."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipelines.records.samples import read_headers, read_samples
from pipelines.trainers.base import StagePaths
from pipelines.trainers.samples import LONGEST_REASON
from pipelines.trainers.verl.plugin.reasons import REASONS, join_reasons, keeps_samples
from pipelines.trainers.verl.plugin.samples import Group, SampleKeeper, choose, group_keys
from rewards.builtin.interpreter_tool import USAGE_KEY

LIMIT = 6


def config(folder: Path, responses: int = 4) -> Any:
    samples = SimpleNamespace(folder=str(folder), responses=responses)
    actor = SimpleNamespace(rollout=SimpleNamespace(response_length=LIMIT))
    return SimpleNamespace(pipeline=SimpleNamespace(samples=samples), actor_rollout_ref=actor)


class Queue:
    """verl's data, by key: four rows of two sources with two responses each."""

    def __init__(self, prefix: str = "u") -> None:
        self.asked: list[str] = []
        self.data: dict[str, dict[str, Any]] = {
            f"{prefix}{row}_{session}_0": {
                "data_source": "apps" if row % 2 else "cruxeval",
                "extra_info": {"id": f"row-{row}", "index": row},
                "prompts": [row, 0],
                "responses": [row, session, 7],
                "response_mask": [1, 0, 1],
                "rm_scores": [0.0, 0.0, float(session)],
                "extra_fields": {
                    "reward_extra_info": {"score": 1.0, "accuracy": 0.5, "note": "text"},
                    REASONS: "test 1 failed",
                },
                "reward_model": {"ground_truth": '{"tests": []}'},
            }
            for row in range(4)
            for session in range(2)
        }

    def fetch(self, keys: Sequence[str], partition: str, fields: Sequence[str]) -> Mapping[str, Sequence[Any]]:
        if "responses" in fields:
            self.asked += keys
        return {field: [self.data[key][field] for key in keys] for field in fields}

    def shuffled(self, seed: int = 0) -> list[str]:
        return random.Random(seed).sample(sorted(self.data), len(self.data))


def decode(tokens: Sequence[int]) -> str:
    return " ".join(map(str, tokens))


def keep(folder: Path, queue: Queue, responses: int = 4, step: int = 3, seed: int = 0) -> SampleKeeper:
    keeper = SampleKeeper(config(folder, responses), queue.fetch, decode)
    keeper.collect(queue.shuffled(seed), "train")
    keeper.write("train", step)
    return keeper


def test_keys_are_grouped_by_prompt_and_the_last_of_a_session_counts() -> None:
    keys = ["b_10_0", "a_0_0", "b_9_1", "b_9_0", "b_9_10", "a_1_0"]
    assert group_keys(keys) == [("b_9_10", "b_10_0"), ("a_0_0", "a_1_0")]


def groups(*rows: tuple[str, str], size: int = 2) -> list[Group]:
    return [Group(source, row, tuple(f"{row}_{number}_0" for number in range(size))) for source, row in rows]


def test_the_same_rows_are_chosen_in_any_order() -> None:
    given = groups(*((source, f"{source}/{number}") for source in "abc" for number in range(50)))
    chosen = choose(given, 16)
    assert len(chosen) == 8
    assert [sum(each.source == source for each in chosen) for source in "abc"] == [3, 3, 2]
    for seed in range(5):
        assert choose(random.Random(seed).sample(given, len(given)), 16) == chosen


def test_rows_are_chosen_from_batches_as_from_all() -> None:
    given = groups(*((source, f"{source}/{number}") for source in "abc" for number in range(50)))
    random.Random(0).shuffle(given)
    batches = [choose(given[begin : begin + 40], 16) for begin in range(0, len(given), 40)]
    assert choose([group for batch in batches for group in batch], 16) == choose(given, 16)


@pytest.mark.parametrize(("size", "most", "kept"), [(2, 5, 2), (2, 4, 2), (8, 4, 1), (1, 100, 3)])
def test_groups_are_whole(size: int, most: int, kept: int) -> None:
    assert len(choose(groups(("a", "1"), ("a", "2"), ("b", "1"), size=size), most)) == kept


def test_nothing_is_chosen_of_nothing() -> None:
    assert choose([], 4) == []


def test_samples_of_a_step(tmp_path: Path) -> None:
    queue = Queue()
    keep(tmp_path / "samples", queue)
    found = list(read_samples(StagePaths(tmp_path), "train"))
    assert [(each.group, each.number) for each in found] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert {each.source for each in found} == {"apps", "cruxeval"}
    assert sorted(queue.asked) == sorted(f"u{each.row[-1]}_{each.number}_0" for each in found), "only what is kept is fetched"
    first = found[1]
    row = int(first.row[-1])
    assert (first.step, first.split, first.score, first.tokens, first.prompt_tokens, first.cut) == (
        3,
        "train",
        1.0,
        2,
        2,
        False,
    )
    assert (first.prompt, first.response) == (f"{row} 0", f"{row} 1 7")
    assert (first.values, first.reason, first.truth) == ({"accuracy": 0.5}, "test 1 failed", '{"tests": []}')
    (header,) = read_headers(StagePaths(tmp_path), "train")
    assert (header.samples, header.responses) == (4, 8)


def test_validations_keep_the_same_rows(tmp_path: Path) -> None:
    for step in range(3):
        # verl shuffles the rows and gives them new names.
        keep(tmp_path / "samples", Queue(f"step{step}x"), step=step, seed=step)
    rows = [[each.row for each in read_samples(StagePaths(tmp_path), "train", [step])] for step in range(3)]
    assert rows[0] == rows[1] == rows[2]


def test_batches_of_a_validation_are_one_choice(tmp_path: Path) -> None:
    queue = Queue()
    keep(tmp_path / "whole/samples", queue)
    keeper = SampleKeeper(config(tmp_path / "parts/samples"), queue.fetch, decode)
    for part in ("01", "23"):
        keeper.collect([key for key in queue.data if key[1] in part], "val")
    keeper.write("train", 3)
    whole, parts = (list(read_samples(StagePaths(tmp_path / name), "train")) for name in ("whole", "parts"))
    assert whole == parts
    assert [each.responses for each in read_headers(StagePaths(tmp_path / "parts"), "train")] == [8]


def test_a_response_at_the_limit_is_cut(tmp_path: Path) -> None:
    queue = Queue()
    for key, each in queue.data.items():
        if key.endswith("_0_0"):
            each["responses"], each["response_mask"] = [1] * LIMIT, [1] * LIMIT
        else:
            each["extra_fields"] = {USAGE_KEY: {"calls": 3, "cut": 1}}
    keep(tmp_path / "samples", queue)
    found = list(read_samples(StagePaths(tmp_path), "train"))
    assert all(each.cut for each in found)
    assert [(each.calls, each.tokens) for each in found[:2]] == [(0, LIMIT), (3, 2)]


def test_hostile_values_are_written(tmp_path: Path) -> None:
    queue = Queue()
    for stored in queue.data.values():
        stored["rm_scores"] = [float("nan")]
        stored["extra_info"] = {"index": "\ud800"}
        stored["reward_model"] = {"ground_truth": {"tests": ["\udfff" + "x" * 10_000]}}
        info = {"accuracy": float("inf"), "\ud800_score": True}
        stored["extra_fields"] = {"reward_extra_info": info, REASONS: "got \ud800" + "y" * 9000}
    keeper = SampleKeeper(config(tmp_path / "samples"), queue.fetch, lambda tokens: "\ud800<script>" + "z" * 1_000_000)
    keeper.collect(queue.shuffled(), "train")
    keeper.write("train", 1)
    found = list(read_samples(StagePaths(tmp_path), "train"))
    assert len(found) == 4
    for each in found:
        assert (each.score, each.reason, each.row) == (0.0, "the score is nan", "?")
        assert each.values == {"?_score": 1.0}
        assert each.omitted > 900_000
        assert "characters left out" in each.truth
    assert (tmp_path / "samples/train/1.jsonl").stat().st_size < 300_000


def test_an_error_is_printed_once_and_stops_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "samples").write_text("a file where the folder should be")
    queue = Queue()
    keeper = keep(tmp_path / "samples", queue)
    del queue.data["u0_0_0"]["extra_info"]
    keeper.collect(queue.shuffled(), "train")
    keeper.write("train", 2)
    printed = capfd.readouterr().out
    assert printed.count("warning: samples of responses are not kept: ") == 1
    assert printed.count("\n") == 1


def test_after_an_error_the_next_step_is_kept(tmp_path: Path) -> None:
    queue = Queue()
    removed = queue.data["u0_0_0"].pop("extra_info")
    keeper = keep(tmp_path / "samples", queue, step=1)
    queue.data["u0_0_0"]["extra_info"] = removed
    keeper.collect(queue.shuffled(), "train")
    keeper.write("train", 2)
    assert [each.step for each in read_headers(StagePaths(tmp_path), "train")] == [2]
    assert [each.responses for each in read_headers(StagePaths(tmp_path), "train")] == [8]


def test_reasons_are_joined_and_bounded() -> None:
    assert join_reasons(["test 1: expected 2, got 3", "no code block"]) == "test 1: expected 2, got 3; no code block"
    assert len(join_reasons(["x" * 500] * 1000)) == LONGEST_REASON


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({}, False),
        ({"pipeline": {"keep_checkpoints": 2}}, False),
        ({"pipeline": {"samples": {"folder": "f", "responses": 0}}}, False),
        ({"pipeline": {"samples": {"folder": "f", "responses": 4}}}, True),
    ],
)
def test_samples_are_kept_on_request(given: dict[str, Any], kept: bool) -> None:
    assert keeps_samples(given) is kept
