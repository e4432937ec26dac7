"""gsm8k: the final number as verl's grader compares it."""

from __future__ import annotations

from pathlib import Path

import pytest

from preprocess.rows import to_json
from rewards.verl_graders import make_reference, read_truth
from tests.preprocess.converters.code_rows import convert_record, take_reject, take_rl, take_sft


@pytest.mark.parametrize(
    ("answer", "number"),
    [
        ("So.\n#### 42", "42"),
        ("#### 1,234,567\n", "1234567"),
        ("#### -3", "-3"),
        ("#### 2.50", "2.50"),
        ("#### 1\n#### 2", "2"),
    ],
)
def test_the_final_number(tmp_path: Path, answer: str, number: str) -> None:
    row = take_rl(convert_record("gsm8k", "rl", tmp_path, {"question": "Q", "answer": answer}))
    truth = to_json(row.ground_truth)
    assert truth == read_truth(truth) == number
    assert f"#### {number}\n" in (make_reference(truth, {}) or "")
    assert (row.data_source, row.problem, row.detail) == ("openai/gsm8k", "Q", {"solution": answer})


def test_both_shapes_ask_the_same(tmp_path: Path) -> None:
    record = {"question": "Q", "answer": "<<1+1=2>>2\n#### 2"}
    asked, taught = (
        take(convert_record("gsm8k", shape, tmp_path, record)) for take, shape in ((take_rl, "rl"), (take_sft, "sft"))
    )
    assert asked.prompt[0].content == taught.conversations[0].value
    assert asked.problem == taught.problem
    assert taught.conversations[1].value == record["answer"]


@pytest.mark.parametrize("shape", ["sft", "rl"])
@pytest.mark.parametrize(
    ("question", "answer", "reason"),
    [
        (" ", "#### 2", "the question is empty"),
        ("Q", "It is 2.", "the answer ends with 'It is 2.', expected #### and a number"),
        ("Q", "#### two", "the answer ends with '#### two', expected #### and a number"),
        ("Q", "#### 2 apples", "expected #### and a number"),
        ("Q", "#### 2.", "expected #### and a number"),
        ("Q", "", "the answer ends with '', expected #### and a number"),
    ],
)
def test_what_is_rejected(tmp_path: Path, shape: str, question: str, answer: str, reason: str) -> None:
    kind, found = take_reject(convert_record("gsm8k", shape, tmp_path, {"question": question, "answer": answer}))
    assert kind == "rejected"
    assert reason in found
