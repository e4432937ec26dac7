"""Scoring and checking of rewards without a trainer."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rewards.errors import GroundTruthError, RewardError
from rewards.reasons import explain
from rewards.registry import Reward
from rewards.sandbox import get
from rewards.trial.checking import check_rows, sample_rows
from rewards.trial.offline import OfflineError, Row, read_responses, read_rows, score

ROWS = [Row(place, f"row/{place}", "d", str(place), {"id": f"row/{place}"}) for place in range(4)]


def _write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def _reward(function: Any, **checks: Any) -> Reward:
    return Reward("mine", function, **checks)


def _equal(data_source: str, solution_str: str, ground_truth: str, extra_info: Mapping[str, Any]) -> dict[str, float]:
    if ground_truth == "3":
        raise GroundTruthError("no\nthree")
    explain("{} is not {}", solution_str, ground_truth)
    same = float(solution_str == ground_truth)
    return {"score": 2 * same, "accuracy": same, "format": 1.0}


def test_rows_are_read_as_the_trainer_does(tmp_path: Path) -> None:
    record = {"data_source": "d", "reward_model": {"style": "rule", "ground_truth": "1"}, "extra_info": {"id": "a", "index": 7}}
    path = _write_rows(tmp_path / "rows.parquet", [record, {**record, "extra_info": {"id": None, "index": 8}}])
    first, second = read_rows(path)
    assert first == Row(0, "a", "d", "1", {"id": "a", "index": 7})
    assert second.id == "1"
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1 + 1?"}]
    (asked,) = read_rows(_write_rows(tmp_path / "asked.parquet", [{**record, "prompt": messages}]))
    assert asked.prompt == "Be brief.\n1 + 1?"


def test_id_of_several_rows_is_an_error(tmp_path: Path) -> None:
    rows = [*ROWS, Row(4, "row/1", "d", "4", {"id": "row/1"})]
    path = tmp_path / "responses.jsonl"
    path.write_text(json.dumps({"id": "row/0", "response": "a"}) + "\n" + json.dumps({"index": 4, "response": "a"}))
    assert [row.index for row, _ in read_responses(path, rows)] == [0, 4]
    path.write_text(json.dumps({"id": "row/1", "response": "a"}))
    with pytest.raises(OfflineError, match=r"responses.jsonl:1: 2 rows have the id 'row/1'; use `index`"):
        read_responses(path, rows)


def test_files_without_rows(tmp_path: Path) -> None:
    with pytest.raises(OfflineError, match="not found"):
        read_rows(tmp_path / "none.parquet")
    (tmp_path / "text.parquet").write_text("text")
    with pytest.raises(OfflineError, match="is not a readable parquet file"):
        read_rows(tmp_path / "text.parquet")
    path = _write_rows(tmp_path / "sft.parquet", [{"conversations": "a", "data_source": "b"}])
    with pytest.raises(OfflineError, match=r"has no column reward_model, .*; found conversations, data_source"):
        read_rows(path)


def test_responses_by_id_by_index_and_from_verl_dumps(tmp_path: Path) -> None:
    path = tmp_path / "responses.jsonl"
    lines = [
        {"id": "row/1", "response": "a"},
        {"index": 2, "response": ["b", "c"]},
        {"input": "prompt", "output": "d", "gts": "3", "score": 0.0, "step": 1},
    ]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    found = [(row.index, text) for row, text in read_responses(path, ROWS)]
    assert found == [(1, "a"), (2, "b"), (2, "c"), (3, "d")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "responses.jsonl:1: not JSON"),
        ("[]", "responses.jsonl:1: found a list, expected an object with id"),
        ('{"id": "row/1"}', ":1: no response"),
        ('{"id": "row/1", "response": 1}', ":1: no response"),
        ('{"response": "a"}', "no id or index to identify"),
        ('{"id": "row/9", "response": "a"}', "no row has the id 'row/9'; did you mean 'row/"),
        ('{"index": 4, "response": "a"}', "index is 4, expected 0 to 3"),
        ('{"index": true, "response": "a"}', "index is True"),
        ('{"output": "a", "gts": "9"}', "no row has this ground truth: 9"),
        ("", "has no response"),
    ],
)
def test_invalid_responses(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "responses.jsonl"
    path.write_text(line)
    with pytest.raises(OfflineError, match=message):
        read_responses(path, ROWS)


def test_scores_are_in_order_with_reasons_and_failures() -> None:
    seen = []
    marks = score(_reward(_equal), {}, [(row, "1") for row in ROWS], lambda: seen.append(1))
    assert [mark.score for mark in marks] == [0.0, 2.0, 0.0, 0.0]
    assert marks[0].reasons == ("1 is not 0",)
    assert [mark.failed for mark in marks] == [None, None, None, "GroundTruthError: no three"]
    assert len(seen) == 4


def test_async_rewards_and_plain_numbers() -> None:
    async def half(data_source: str, solution_str: str, ground_truth: str, extra_info: Mapping[str, Any]) -> float:
        await asyncio.sleep(0.01)
        return 0.5

    marks = score(_reward(half), {}, [(row, "") for row in ROWS])
    assert [(mark.score, mark.accuracy) for mark in marks] == [(0.5, None)] * 4


@pytest.mark.parametrize("value", [float("nan"), "much", None, {}])
def test_invalid_result_is_a_failure(value: Any) -> None:
    def bad(data_source: str, solution_str: str, ground_truth: str, extra_info: Mapping[str, Any]) -> Any:
        return value

    (mark,) = score(_reward(bad), {}, [(ROWS[0], "")])
    assert mark.failed is not None


def test_reward_error_stops_scoring() -> None:
    calls = []

    def broken(data_source: str, solution_str: str, ground_truth: str, extra_info: Mapping[str, Any]) -> float:
        calls.append(1)
        raise RewardError("install it")

    with pytest.raises(RewardError, match="install it"):
        score(_reward(broken), {}, [(row, "") for row in ROWS * 100])
    assert len(calls) < 100


def test_sound_reward_has_no_findings() -> None:
    reward = _reward(_equal, reference=lambda truth, _: truth, cheats=lambda truth, _: {"pass": "pass"})
    report = check_rows(reward, {}, ROWS[:3])
    assert (report.rows, report.references, report.cheats, report.findings) == (3, 3, 3, ())


def test_findings() -> None:
    def cheatable(data_source: str, solution_str: str, ground_truth: str, extra_info: Mapping[str, Any]) -> dict[str, float]:
        right = float("pass" in solution_str or (solution_str == ground_truth != "2"))
        return {"score": right, "accuracy": right}

    reward = _reward(
        cheatable,
        reference=lambda truth, _: truth if truth != "0" else None,
        cheats=lambda truth, _: {"pass": "pass", "nothing": "x"} if truth == "1" else {},
    )
    report = check_rows(reward, {}, ROWS[:3])
    assert (report.rows, report.references, report.cheats) == (3, 2, 2)
    assert [(each.row.id, each.what, each.expected) for each in report.findings] == [
        ("row/1", "cheat: pass", "accuracy 0"),
        ("row/2", "reference", "accuracy 1"),
    ]


def test_each_cheat_is_scored_directly_after_the_reference() -> None:
    """A reward that keeps what it saw last, like a sandbox worker that keeps the output of a program."""
    last: dict[str, str] = {}

    async def leaky(data_source: str, solution_str: str, ground_truth: str, extra_info: Mapping[str, Any]) -> float:
        sandbox = str(get())
        answer = last.get(sandbox) if solution_str == "repeat" else solution_str
        await asyncio.sleep(0.001)
        last[sandbox] = solution_str
        return float(answer == ground_truth)

    cheats = {"first": "repeat", "wrong": "x", "second": "repeat"}
    reward = _reward(leaky, reference=lambda truth, _: truth, cheats=lambda *_: cheats)
    report = check_rows(reward, {}, ROWS)
    assert (report.references, report.cheats) == (4, 12)
    assert [each.what for each in report.findings] == ["cheat: first", "cheat: second"] * 4


def test_rewards_without_accuracy_are_checked_by_their_score() -> None:
    def graded(data_source: str, solution_str: str, ground_truth: str, extra_info: Mapping[str, Any]) -> float:
        return {"0": -1.0, "1": -2.0}.get(solution_str, -2.0)

    reward = _reward(graded, reference=lambda truth, _: truth, cheats=lambda *_: {"best": "0", "worst": "x"})
    report = check_rows(reward, {}, ROWS[:2])
    assert [(each.row.id, each.what) for each in report.findings] == [
        ("row/0", "cheat: best"),
        ("row/1", "reference"),
        ("row/1", "cheat: best"),
    ]


def test_broken_rows_are_findings() -> None:
    def fail(truth: str, info: Mapping[str, Any]) -> str:
        raise ValueError("tests are not JSON")

    (finding,) = check_rows(_reward(_equal, reference=fail), {}, ROWS[:1]).findings
    assert (finding.what, finding.reason) == ("empty answer", "ValueError: tests are not JSON")
    (finding,) = check_rows(_reward(_equal, reference=fail), {}, ROWS[3:]).findings
    assert finding.reason == "GroundTruthError: no three"
    (finding,) = check_rows(_reward(_equal, reference=lambda truth, _: truth), {}, ROWS[3:]).findings
    assert (finding.what, finding.expected, finding.reason) == ("empty answer", "a score", "GroundTruthError: no three")


def test_sample_is_spread_over_all_rows() -> None:
    assert [row.index for row in sample_rows(ROWS, 2)] == [0, 2]
    assert sample_rows(ROWS, None) == sample_rows(ROWS, 9) == ROWS
