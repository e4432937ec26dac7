"""gsm8k: final numbers in the form of verl's grader, and calculations with the tool."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from preprocess.errors import SourceError
from preprocess.rows import Shape, to_json
from rewards.builtin import interpreter_tool
from rewards.builtin.verl_graders import make_reference, read_truth
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
def test_final_number(tmp_path: Path, answer: str, number: str) -> None:
    row = take_rl(convert_record("gsm8k", "rl", tmp_path, {"question": "Q", "answer": answer}))
    truth = to_json(row.ground_truth)
    assert truth == read_truth(truth) == number
    assert f"#### {number}\n" in (make_reference(truth, {}) or "")
    assert (row.data_source, row.problem, row.detail) == ("openai/gsm8k", "Q", {"solution": answer})


def test_both_shapes_have_the_same_prompt(tmp_path: Path) -> None:
    record = {"question": "Q", "answer": "<<1+1=2>>2\n#### 2"}
    asked = take_rl(convert_record("gsm8k", "rl", tmp_path, record))
    taught = take_sft(convert_record("gsm8k", "sft", tmp_path, record))
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
def test_rejected(tmp_path: Path, shape: Shape, question: str, answer: str, reason: str) -> None:
    kind, found = take_reject(convert_record("gsm8k", shape, tmp_path, {"question": question, "answer": answer}))
    assert kind == "rejected"
    assert reason in found


BAKER = {
    "question": "Q",
    "answer": "The baker makes 3 * 12 = <<3*12=36>>36 rolls.\nThen 36 - 20 = <<36-20=16>>16 are left.\n#### 16",
}
TOOL = interpreter_tool.NAME


@pytest.mark.parametrize(
    ("stateful", "codes"),
    [(False, ["print(3 * 12)", "print(36 - 20)"]), (True, ["a = 3 * 12\nprint(a)", "b = a - 20\nprint(b)"])],
)
def test_tool_calls(tmp_path: Path, stateful: bool, codes: list[str]) -> None:
    row = take_sft(convert_record("gsm8k", "sft", tmp_path, BAKER, tool=TOOL, stateful=stateful))
    speakers = ["human", "function_call", "observation", "function_call", "observation", "gpt"]
    assert [turn.speaker for turn in row.conversations] == speakers
    _, first, reply, second, last, answer = (turn.value for turn in row.conversations)
    assert [json.loads(call) for call in (first, second)] == [{"name": TOOL, "arguments": {"code": code}} for code in codes]
    assert (reply, last) == ("36", "16")
    assert answer == "The baker makes 3 * 12 = 36 rolls.\nThen 36 - 20 = 16 are left.\n#### 16"
    assert row.system == interpreter_tool.SYSTEM
    assert json.loads(row.tools or "") == [interpreter_tool.SCHEMA]


def test_prompt_with_the_tool(tmp_path: Path) -> None:
    row = take_rl(convert_record("gsm8k", "rl", tmp_path, BAKER, tool=TOOL))
    assert row.tools == (TOOL,)
    assert [each.role for each in row.prompt] == ["system", "user"]
    assert row.prompt[0].content == interpreter_tool.SYSTEM
    assert row.ground_truth == take_rl(convert_record("gsm8k", "rl", tmp_path, BAKER)).ground_truth


@pytest.mark.parametrize(
    ("calculations", "reason"),
    [
        ("", "the answer marks no calculation, such as <<3*12=36>>"),
        ("<<50%*20=10>>", "a calculation is not arithmetic: 50%*20=10"),
        ("<<7%4=3>>", "a calculation is not arithmetic: 7%4=3"),
        ("<<x*2=4>>", "a calculation is not arithmetic: x*2=4"),
        ("<<'a'=1>>", "a calculation is not arithmetic: 'a'=1"),
        ("<<2*2=four>>", "a calculation is not arithmetic: 2*2=four"),
        ("<<2+2>>", "a calculation is not arithmetic: 2+2"),
        ("<<1/3=.33>>", "a calculation gives 0.3333333333333333, expected 0.33"),
        ("<<1/0=1>>", "the code fails in the interpreter: ZeroDivisionError: division by zero"),
        ("<<1+1=2>>" * 27, "the answer has more calculations than there are names for their results"),
    ],
)
def test_left_out_with_the_tool(tmp_path: Path, calculations: str, reason: str) -> None:
    record = {"question": "Q", "answer": f"{calculations}\n#### 3"}
    assert take_reject(convert_record("gsm8k", "sft", tmp_path, record, tool=TOOL, stateful=True)) == ("left_out", reason)


def test_duplicate_value_refers_to_the_later_result(tmp_path: Path) -> None:
    record = {"question": "Q", "answer": "<<1+1=2>><<4/2=2>><<2*-3=-6>>\n#### -6"}
    row = take_sft(convert_record("gsm8k", "sft", tmp_path, record, tool=TOOL, stateful=True))
    assert json.loads(row.conversations[5].value)["arguments"]["code"] == "c = b * -3\nprint(c)"
    assert row.conversations[4].value == "2.0"


def test_stateful_requires_the_tool(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"converter gsm8k: .*stateful is for rows with a tool"):
        convert_record("gsm8k", "sft", tmp_path, BAKER, stateful=True)
