"""Selection of rows by pass rates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from pipelines.evaluation.records import Response
from preprocess.errors import SourceError
from preprocess.filters.pass_rates import PassRateFilter, read_pass_rates
from preprocess.jobs.prepare import main
from preprocess.rows import SftRow


def write_lines(path: Path, *lines: Any) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def test_samples_become_pass_rates(tmp_path: Path) -> None:
    lines = [
        {"id": "a", "index": 0, "score": 2.0, "accuracy": 1.0, "format": 1.0, "failed": None, "reasons": []},
        {"id": "a", "index": 0, "score": 1.5, "accuracy": 0.75, "format": 1.0, "failed": None, "reasons": []},
        {"id": "a", "index": 0, "score": 0.0, "accuracy": 0.0, "format": 0.0, "failed": "ValueError: x", "reasons": []},
        "",
        {"id": 7, "score": 1, "accuracy": None},
        {"id": "c", "failed": "broken", "score": 0.0},
    ]
    path = write_lines(tmp_path / "scores.jsonl", *lines)
    assert read_pass_rates(path, 1.0) == {"a": 0.5, "7": 1.0}
    assert read_pass_rates(path, 0.5) == {"a": 1.0, "7": 1.0}


def test_responses_of_an_evaluation_are_samples(tmp_path: Path) -> None:
    given = [("a", 1.0, None), ("a", 0.0, None), ("a", 0.0, "no worker"), ("b", None, None)]
    with (tmp_path / "responses.jsonl").open("wb") as file:
        for sample, (row, accuracy, failed) in enumerate(given):
            response = Response(row, sample, "text", 1, "stop", score=1.1, accuracy=accuracy, failed=failed)
            file.write(msgspec.json.encode(response) + b"\n")
        file.write(b'{"row": "b", "sam')  # being written
    assert read_pass_rates(tmp_path / "responses.jsonl", 1.0) == {"a": 0.5, "b": 1.0}
    with pytest.raises(SourceError, match=r"scores\.jsonl:5: not JSON"):
        read_pass_rates((tmp_path / "responses.jsonl").rename(tmp_path / "scores.jsonl"), 1.0)


def test_pass_rates_are_read(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "rates.jsonl", {"id": "a", "pass_rate": 0.25}, {"id": "b", "pass_rate": 1})
    assert read_pass_rates(path, 1.0) == {"a": 0.25, "b": 1.0}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["{"], r"rates.jsonl:1: "),
        ([{"score": 1}], "rates.jsonl:1: no 'id', and no 'row' as in the responses of an evaluation"),
        ([{"id": "a", "score": "1"}], r"rates.jsonl:1: score is text, expected a number"),
        ([{"id": "a"}], "rates.jsonl:1: none of pass_rate, accuracy and score"),
        ([{"id": "a", "pass_rate": 30}], "rates.jsonl:1: pass_rate is 30, expected 0 to 1"),
        ([{"id": "a", "pass_rate": 0}] * 2, "rates.jsonl:2: a second pass_rate for a"),
        ([{"id": "a", "pass_rate": 0}, {"id": "a", "score": 1}], "a has both a pass_rate and samples"),
        ([], "has no pass rates"),
    ],
)
def test_invalid_file_is_a_one_line_error(tmp_path: Path, lines: list[Any], message: str) -> None:
    with pytest.raises(SourceError, match=message):
        read_pass_rates(write_lines(tmp_path / "rates.jsonl", *lines), 1.0)


def test_bounds_are_inclusive(tmp_path: Path) -> None:
    samples = [{"id": f"row/{passes}", "score": float(n < passes)} for passes in range(11) for n in range(10)]
    rates = read_pass_rates(write_lines(tmp_path / "scores.jsonl", *samples), 1.0)
    chosen = PassRateFilter(rates, 0.1, 0.3, keep_unknown=False)
    row = SftRow("p", ())
    kept = [passes for passes in range(11) if chosen.judge(row, f"row/{passes}") is None]
    assert kept == [1, 2, 3]
    assert chosen.judge(row, "row/0") == ("left_out", "its pass rate is under 0.1")
    assert chosen.judge(row, "row/4") == ("left_out", "its pass rate is over 0.3")
    assert chosen.judge(row, "other") == ("left_out", "it has no pass rate")
    assert PassRateFilter(rates, 0.1, 0.3, keep_unknown=True).judge(row, "other") is None


def test_prepare_filters_only_the_source_with_rates(tmp_path: Path) -> None:
    turns = [{"from": "human", "value": "?"}, {"from": "gpt", "value": "!"}]
    sources = []
    for name in ("measured", "other"):
        lines = ({"conversations": [{**turns[0], "value": f"{name} {n}"}, turns[1]]} for n in range(6))
        sources.append({"converter": "execverify_sft", "source": str(write_lines(tmp_path / f"{name}.jsonl", *lines))})
    rates = write_lines(tmp_path / "rates.jsonl", *({"id": f"measured:{n}", "pass_rate": n / 5} for n in range(1, 6)))
    sources[0]["pass_rates"] = {"file": str(rates), "max": 0.5}  # type: ignore[assignment]
    config = {"shape": "sft", "train": sources, "validation": {"fraction": 0.3}, "output": str(tmp_path / "out")}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert main([str(tmp_path / "config.json")]) == 0
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert sum(summary["rows"].values()) == 2 + 6
    assert summary["left_out"] == {"its pass rate is over 0.5": 3, "it has no pass rate": 1}


def test_rates_select_rows_of_the_right_file(tmp_path: Path) -> None:
    """Files whose names differ after the first dot, or only in their ending, have rows of different names."""
    (tmp_path / "rows").mkdir()
    for file in ("a.v1.jsonl", "a.v2.jsonl", "b.json", "b.jsonl"):
        write_lines(tmp_path / "rows" / file, *({"instruction": f"{file} {n}", "output": "x"} for n in (1, 2)))
    rates = write_lines(tmp_path / "rates.jsonl", *({"id": name, "pass_rate": 0.5} for name in ("a.v2:1", "b.json:2")))
    source = {"converter": "alpaca", "source": str(tmp_path / "rows"), "pass_rates": {"file": str(rates)}}
    held_out = write_lines(tmp_path / "held_out.jsonl", {"instruction": "q", "output": "x"})
    config = {
        "shape": "sft",
        "train": [source],
        "validation": [{"converter": "alpaca", "source": str(held_out)}],
        "output": str(tmp_path / "out"),
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert main([str(tmp_path / "config.json")]) == 0
    table = pq.read_table(tmp_path / "out" / "train.parquet").to_pylist()
    assert [row["conversations"][0]["value"] for row in table] == ["a.v2.jsonl 1", "b.json 2"]


def test_rows_of_one_name_are_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    question = {"data_source": "d", "prompt": [{"role": "user", "content": "q"}], "reward_model": {"ground_truth": "1"}}
    named = [{**question, "extra_info": {"id": name}} for name in ("a", "b", "a")]
    rates = write_lines(tmp_path / "rates.jsonl", {"id": "a", "pass_rate": 0.5})
    source = {"converter": "verl_rows", "source": str(write_lines(tmp_path / "rows.jsonl", *named))}
    config = {
        "shape": "rl",
        "train": [source, {**source, "pass_rates": {"file": str(rates)}}],
        "validation": {"fraction": 0.3},
        "output": str(tmp_path / "out"),
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert main([str(tmp_path / "config.json")]) == 2
    assert "rows.jsonl:3: row 'a' has the name of the row of" in capsys.readouterr().err
