"""Rows of programming problems from any source, with and without the tool."""

import json
from pathlib import Path

import pytest

from preprocess.engine.job import Job, Source
from preprocess.engine.splits import Whole
from preprocess.rows import RlRow, SftRow, Shape
from rewards.builtin import interpreter_tool
from tests import ROOT
from tests.preprocess.converters.code_rows import (
    SHAPES,
    convert_example,
    convert_record,
    judge,
    judge_response,
    take_reject,
    take_rl,
    take_sft,
)

NAMES = ["apps", "evalplus", "humaneval", "kodcode", "leetcode", "mbpp", "programs_code"]
APPS = {
    "question": "Print the double of a number.",
    "input_output": json.dumps({"inputs": ["2\n", "0\n"], "outputs": ["4\n", "0\n"]}),
    "solutions": json.dumps(["print(2 * int(input()))"]),
}


@pytest.mark.parametrize("name", NAMES)
def test_solutions_get_the_best_score(name: str) -> None:
    rows = [row for row in convert_example(name, "rl").rows if isinstance(row, RlRow) and "solution" in row.detail]
    assert rows
    for row in rows:
        assert (row.id, judge(row, row.detail["solution"])) == (row.id, 1.0)
        assert (row.id, judge(row, "class Solution:\n    pass\n")) == (row.id, 0.0)


@pytest.mark.parametrize("name", NAMES)
def test_taught_answers_pass_the_tests(name: str) -> None:
    taught = {
        row.conversations[0].value: row.conversations[1].value
        for row in convert_example(name, "sft").rows
        if isinstance(row, SftRow)
    }
    asked = [row for row in convert_example(name, "rl").rows if isinstance(row, RlRow) and "solution" in row.detail]
    assert asked
    for row in asked:
        assert judge_response(row, taught[row.prompt[0].content]) == 1.0


@pytest.mark.parametrize("name", NAMES)
def test_both_shapes_have_the_same_problem(name: str) -> None:
    taught, asked = convert_example(name, "sft").rows, convert_example(name, "rl").rows
    problems = {row.conversations[0].value: row.problem for row in taught if isinstance(row, SftRow)}
    shared = [row for row in asked if isinstance(row, RlRow) and row.prompt[0].content in problems]
    assert shared
    assert all(problems[row.prompt[0].content] == row.problem for row in shared)


@pytest.mark.parametrize("name", [*NAMES, "eurus"])
def test_prompts_with_the_tool(name: str) -> None:
    rows = convert_example(name, "rl", tool="python_interpreter").rows
    assert rows
    for row in rows:
        assert isinstance(row, RlRow)
        assert row.tools == (interpreter_tool.NAME,)
        assert [message.role for message in row.prompt] == ["system", "user"]
        assert row.prompt[0].content == interpreter_tool.SYSTEM
        assert "tool_call" not in json.dumps([message.content for message in row.prompt])


def test_conversation_with_the_tool(tmp_path: Path) -> None:
    row = take_sft(convert_record("apps", "sft", tmp_path, APPS, tool="python_interpreter"))
    assert [turn.speaker for turn in row.conversations] == ["human", "function_call", "observation", "gpt"]
    _, call, reply, answer = (turn.value for turn in row.conversations)
    code = "import io\nimport sys\n\nsys.stdin = io.StringIO('2\\n')\n\nprint(2 * int(input()))"
    assert json.loads(call) == {"name": "python_interpreter", "arguments": {"code": code}}
    assert reply == "4"
    assert answer == take_sft(convert_record("apps", "sft", tmp_path, APPS)).conversations[1].value
    assert row.system == interpreter_tool.SYSTEM
    assert json.loads(row.tools or "") == [interpreter_tool.SCHEMA]


def test_conversation_on_the_page(tmp_path: Path) -> None:
    tests = {"fn_name": "double", "inputs": [[2], [0], [7]], "outputs": [4, 0, 14]}
    solution = "def double(n):\n    return 2 * n"
    record = {**APPS, "solutions": json.dumps([solution]), "input_output": json.dumps(tests)}
    row = take_sft(convert_record("apps", "sft", tmp_path, record, tool="python_interpreter"))
    page = (ROOT / "docs" / "converters" / "tools.md").read_text(encoding="utf-8")
    assert f"| `function_call` | `{row.conversations[1].value}` |" in page
    assert f"| `observation` | `{json.dumps(row.conversations[2].value)[1:-1]}` |" in page


@pytest.mark.parametrize(
    ("shape", "options", "waits"),
    [
        ("sft", {"tool": "python_interpreter"}, True),
        ("rl", {"tool": "python_interpreter"}, False),
        ("sft", {}, False),
    ],
)
def test_only_conversations_with_the_tool_run_programs(shape: Shape, options: dict[str, str], waits: bool) -> None:
    assert Job(Source("apps", Path("rows.jsonl"), options=options), shape, Whole("train")).runs_programs is waits


@pytest.mark.parametrize(
    ("name", "last", "reply"),
    [
        ("apps", "print(double_letters('a-b'))\nprint(double_letters(''))", "aa-bb"),
        ("apps", "print(Solution().largestGap([3, 8, 4]))\nprint(Solution().largestGap([5]))", None),
        ("humaneval", "print(count_peaks([1, 3, 2]))\nprint(count_peaks([1, 2, 3]))", "1\n0"),
        ("kodcode", "print(clamp_all([1, 5, 9], 2, 6))\nprint(clamp_all([], 0, 1))", "[2, 5, 6]\n[]"),
        ("leetcode", "print(Solution().countEven(num=2048))\nprint(Solution().countEven(num=13))", "4\n0"),
        ("mbpp", "print(every_second('abcde'))\nprint(every_second(''))", "ace"),
    ],
)
def test_calls_are_those_of_the_first_tests(name: str, last: str, reply: str | None) -> None:
    tried = {}
    for row in convert_example(name, "sft", tool="python_interpreter").rows:
        assert isinstance(row, SftRow)
        code = json.loads(row.conversations[1].value)["arguments"]["code"]
        tried["\n".join(code.splitlines()[-2:])] = row.conversations[2].value
    assert tried.get(last) == reply


def test_standard_input_from_lines(tmp_path: Path) -> None:
    tests = json.dumps({"inputs": [["2", "3"]], "outputs": [["4"]]})
    row = take_sft(convert_record("apps", "sft", tmp_path, {**APPS, "input_output": tests}, tool="python_interpreter"))
    assert "io.StringIO('2\\n3')" in json.loads(row.conversations[1].value)["arguments"]["code"]


def test_prelude_is_not_repeated() -> None:
    for name, line in (("humaneval", "from typing import List"), ("leetcode", "from itertools import *")):
        for row in convert_example(name, "sft", tool="python_interpreter").rows:
            assert isinstance(row, SftRow)
            assert json.loads(row.conversations[1].value)["arguments"]["code"].count(line) <= 1


def test_broken_tests_are_rejected_with_the_tool(tmp_path: Path) -> None:
    tests = {"fn_name": "f", "inputs": ["no json"], "outputs": ["1"]}
    record = {**APPS, "input_output": json.dumps(tests), "starter_code": "def f(a):"}
    assert take_reject(convert_record("apps", "sft", tmp_path, record, tool="python_interpreter"))[0] == "rejected"


def test_solution_that_fails_in_the_tool_is_left_out(tmp_path: Path) -> None:
    record = {**APPS, "solutions": json.dumps(["print(2 * number)"])}
    kind, reason = take_reject(convert_record("apps", "sft", tmp_path, record, tool="python_interpreter"))
    assert kind == "left_out"
    assert reason == "the code fails in the interpreter: NameError: name 'number' is not defined"


def test_max_chars(tmp_path: Path) -> None:
    reason = "the statement or the solution is longer than max_chars 10"
    for shape in SHAPES:
        assert take_reject(convert_record("apps", shape, tmp_path, APPS, max_chars=10)) == ("left_out", reason)


def test_broken_tests_are_rejected(tmp_path: Path) -> None:
    tests = {"fn_name": "f", "inputs": ["no json"], "outputs": ["1"]}
    record = {**APPS, "input_output": json.dumps(tests), "starter_code": "def f(a):"}
    kind, reason = take_reject(convert_record("apps", "rl", tmp_path, record))
    assert (kind, reason) == ("rejected", "an input is 'no json', expected a list of arguments, or JSON per line")


def test_problems_with_one_statement_share_a_problem(tmp_path: Path) -> None:
    # As the pairs "-i" and "-ii" in LeetCodeDataset v0.2.
    one = take_rl(convert_record("apps", "rl", tmp_path, {**APPS, "url": "one"}))
    other = take_rl(convert_record("apps", "rl", tmp_path, {**APPS, "url": "other", "solutions": ""}))
    third = take_rl(convert_record("apps", "rl", tmp_path, {**APPS, "question": "Another."}))
    assert one.problem == other.problem != third.problem
