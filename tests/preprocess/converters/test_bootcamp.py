"""bootcamp: unchanged ground truths, folders with splits, and rejects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from preprocess.engine import parallel
from preprocess.engine.convert import convert
from preprocess.engine.job import Source
from preprocess.errors import SourceError
from preprocess.jobs.prepare import main
from preprocess.rows import RlRow, to_json
from rewards.builtin.bootcamp import find_class
from tests import ROOT
from tests.preprocess.converters.code_rows import convert_record, take_reject, take_rl

REAL = ROOT.parent / "shared" / "data" / "internbootcamp"
PUZZLE: dict[str, Any] = {"data_source": "Game24", "prompt": "Make 24.", "ground_truth": {"puzzle": "1 2 3 4", "target": 24}}


@pytest.mark.parametrize(
    "truth", ['{ "b": 1.50,"a": [1e3, "\\u00fc ü"] }', "[1, 2]", '"text"', "null", "-0.0", '{"a": 12345678901234567890}']
)
def test_ground_truth_is_unchanged(tmp_path: Path, truth: str) -> None:
    source = tmp_path / "rows.jsonl"
    source.write_text(f'{{"data_source": "Game24", "ground_truth": {truth}, "prompt": "Q"}}\n', encoding="utf-8")
    row = take_rl(convert([Source("bootcamp", source)], "rl"))
    assert to_json(row.ground_truth) == truth


def test_data_source_with_or_without_prefix(tmp_path: Path) -> None:
    for name in ("Game24", "bootcamp/Game24"):
        assert (
            take_rl(convert_record("bootcamp", "rl", tmp_path, {**PUZZLE, "data_source": name})).data_source
            == "bootcamp/Game24"
        )


@pytest.mark.parametrize(
    ("prompt", "options", "roles"),
    [
        ("Q", {}, ["system", "user"]),
        ("Q", {"system": ""}, ["user"]),
        ([{"role": "user", "content": "Q"}], {}, ["system", "user"]),
        ([{"role": "system", "content": "S"}, {"role": "user", "content": "Q"}], {}, ["system", "user"]),
        (
            [{"role": "user", "content": "P"}, {"role": "assistant", "content": "A"}, {"role": "user", "content": "Q"}],
            {"system": ""},
            ["user", "assistant", "user"],
        ),
    ],
)
def test_prompts(tmp_path: Path, prompt: object, options: dict[str, str], roles: list[str]) -> None:
    row = take_rl(convert_record("bootcamp", "rl", tmp_path, {**PUZZLE, "prompt": prompt}, **options))
    assert [message.role for message in row.prompt] == roles
    assert row.prompt[-1].content == row.problem == "Q"
    if isinstance(prompt, list) and prompt[0]["role"] == "system":
        assert row.prompt[0].content == "S"


def test_system_message_asks_for_think_tags(tmp_path: Path) -> None:
    assert "</think>" in take_rl(convert_record("bootcamp", "rl", tmp_path, PUZZLE)).prompt[0].content


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"data_source": "Game 24"}, "data_source is 'Game 24', expected a bootcamp's name such as Game24"),
        ({"data_source": "bootcamp/"}, "data_source is 'bootcamp/', expected a bootcamp's name such as Game24"),
        ({"data_source": None}, "data_source is null, expected text"),
        ({"prompt": " "}, "the prompt does not end with a user's message"),
        ({"prompt": []}, "the prompt does not end with a user's message"),
        ({"prompt": [{"role": "assistant", "content": "A"}]}, "the prompt does not end with a user's message"),
        ({"prompt": [{"role": "human", "content": "A"}]}, "prompt[0].role is 'human'"),
        ({"prompt": 3}, "prompt is a number, expected text or a list"),
        ({"ground_truth": {"x": float("nan")}}, "not JSON: Out of range float values are not JSON compliant"),
    ],
)
def test_rejected(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    kind, found = take_reject(convert_record("bootcamp", "rl", tmp_path, {**PUZZLE, **change}))
    assert kind == "rejected"
    assert reason in found


def test_misspelled_column_is_an_error(tmp_path: Path) -> None:
    record = {**PUZZLE, "groundtruth": 1}
    del record["ground_truth"]
    with pytest.raises(SourceError, match=r"rows\.jsonl:1: no column 'ground_truth'; did you mean 'groundtruth'\?"):
        convert_record("bootcamp", "rl", tmp_path, record)


def test_folder_is_split_and_shuffled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "count_cores", lambda: 1)  # processes are tested elsewhere
    source = tmp_path / "bootcamps"
    for side, count in (("train", 40), ("test", 5)):
        for name in ("a", "b/c"):
            path = source / side / f"{name}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            lines = [json.dumps({**PUZZLE, "prompt": f"{side} {name} {n}"}) for n in range(count)]
            path.write_text("\n".join(lines) + "\n")
    # A puzzle of the test side is removed from training.
    with (source / "train" / "a.jsonl").open("a") as file:
        file.write(json.dumps({**PUZZLE, "prompt": "test a 0"}) + "\n")
    ids: dict[int, list[str]] = {}
    for seed in (1, 1, 2):
        config: dict[str, Any] = {
            "shape": "rl",
            "train": [{"converter": "bootcamp", "source": str(source)}],
            "validation": "own",
        }
        config |= {"shuffle": True, "seed": seed, "output": str(tmp_path / "out")}
        (tmp_path / "prepare.json").write_text(json.dumps(config))
        assert main([str(tmp_path / "prepare.json")]) == 0
        rows = {name: pq.read_table(tmp_path / "out" / f"{name}.parquet").to_pylist() for name in ("train", "validation")}
        assert [len(rows["train"]), len(rows["validation"])] == [80, 10]
        assert all(row["prompt"][1]["content"].startswith("test") for row in rows["validation"])
        assert all(row["prompt"][1]["content"].startswith("train") for row in rows["train"])
        found = [row["extra_info"]["id"] for row in rows["train"]]
        assert ids.setdefault(seed, found) == found
    assert ids[1] != ids[2]
    assert ids[1] != sorted(ids[1])
    assert set(ids[1]) == set(ids[2])
    (reject,) = [json.loads(line) for line in (tmp_path / "out" / "rejects.jsonl").read_text().splitlines()]
    assert (reject["kind"], reject["line"]) == ("held_out", 41)


@pytest.mark.skipif(not REAL.is_dir(), reason="InternBootcamp rows are missing")
def test_generated_rows() -> None:
    result = convert([Source("bootcamp", REAL)], "rl")
    assert (len(result.rows), result.rejects) == (320, [])
    read = [json.loads(line) for path in sorted(REAL.glob("*.jsonl")) for line in path.read_text(encoding="utf-8").splitlines()]
    for row, record in zip(result.rows, read, strict=True):
        assert isinstance(row, RlRow)
        assert json.loads(to_json(row.ground_truth)) == record["ground_truth"]
        assert find_class(row.data_source) == f"{record['data_source']}bootcamp"
        assert row.problem == record["prompt"]
