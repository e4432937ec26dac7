"""From an evaluation to the next stages: SFT rows of its right responses, RL rows by its pass rates."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq

from pipelines.evaluation.records import Problem, Response
from preprocess.engine.convert import convert
from preprocess.engine.job import Source
from preprocess.jobs.prepare import main
from preprocess.rows import RlRow, to_json
from tests.preprocess.sources.test_evaluations import write


def prepare(folder: Path, shape: str, *train: dict[str, Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return the training rows and the summary."""
    output = folder / shape
    config = {"shape": shape, "train": train, "validation": {"fraction": 0.1}, "max_rejects": 1, "output": str(output)}
    (folder / "prepare.json").write_text(json.dumps(config))
    assert main([str(folder / "prepare.json")]) == 0
    rows = [row for split in ("train", "validation") for row in pq.read_table(output / f"{split}.parquet").to_pylist()]
    return rows, json.loads((output / "summary.json").read_text())


def test_responses_are_rows_of_the_next_stages(tmp_path: Path) -> None:
    questions_file = tmp_path / "questions.jsonl"
    questions_file.write_text(
        "".join(json.dumps({"question": f"What is {n} + 1?", "answer": f"#### {n + 1}"}) + "\n" for n in range(6))
    )
    rows = [row for row in convert([Source("gsm8k", questions_file)], "rl").rows if isinstance(row, RlRow)]
    problems, responses = [], []
    for number, row in enumerate(rows):
        prompt = tuple(msgspec.to_builtins(message) for message in row.prompt)
        problems.append(Problem(row.id, prompt, row.data_source, to_json(row.ground_truth)))
        for sample in range(4):
            right = float(sample < number)
            responses.append(Response(row.id, sample, f"answer {sample}", 2, "stop", score=right, accuracy=right))
    evaluation = tmp_path / "sampled"
    write(evaluation / "train", problems, responses)

    taught, summary = prepare(tmp_path, "sft", {"converter": "rejection_sampled", "source": str(evaluation)})
    solved_sometimes = [row for number, row in enumerate(rows) if 0 < number < 4]
    questions = [row["conversations"][0]["value"] for row in taught]
    for number, row in enumerate(solved_sometimes, 1):
        assert questions.count(row.prompt[-1].content) == number
    assert len(taught) == sum(range(1, len(solved_sometimes) + 1))
    assert summary["left_out"] == {"none of its responses is right": 1, "all of its responses are right": 2}

    rates = {"file": str(evaluation / "train" / "responses.jsonl"), "min": 0.1, "max": 0.9}
    source = {"converter": "gsm8k", "source": str(questions_file)}
    # A source that is listed twice counts twice.
    asked, _ = prepare(tmp_path, "rl", {**source, "pass_rates": rates}, {**source, "pass_rates": {**rates, "max": 0.3}})
    ids = [row["extra_info"]["id"] for row in asked]
    assert sorted(ids) == sorted([row.id for row in solved_sometimes] + [solved_sometimes[0].id])
    trained = pq.read_table(tmp_path / "rl" / "train.parquet").to_pylist()
    assert sorted(row["extra_info"]["index"] for row in trained) == list(range(len(trained)))
