"""Odd files and records: each is kept, left out or rejected with its reason, or an error of one line."""

from __future__ import annotations

import gzip
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from preprocess.engine.job import Source
from preprocess.errors import PrepareError
from preprocess.jobs.single import Conversion, convert_source
from preprocess.rows import Shape

TEXTS = {"inputs": ["2\n"], "outputs": ["4\n"]}
CALLS = {"fn_name": "f", "inputs": [[2]], "outputs": [4]}
APPS: dict[str, Any] = {"question": "Double it.", "input_output": json.dumps(TEXTS), "solutions": '["print(int(input())*2)"]'}
LEETCODE: dict[str, Any] = {
    "task_id": "same",
    "prompt": "",
    "completion": "class Solution:\n    def f(self, x):\n        return x\n",
    "entry_point": "Solution().f",
    "test": "def check(candidate):\n    assert candidate(x=1) == 1\n",
    "problem_description": "Return x.",
    "starter_code": "class Solution:\n    def f(self, x):\n",
    "difficulty": "Easy",
}
EURUS: dict[str, Any] = {
    "data_source": "taco",
    "prompt": [{"role": "user", "content": "Q"}],
    "ability": "code",
    "reward_model": {"ground_truth": json.dumps(TEXTS), "style": "rule"},
    "extra_info": {"index": 1, "split": "train"},
}
HUMAN, GPT = {"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}
USER, MODEL = {"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}
KODCODE: dict[str, Any] = {
    "question_id": "1",
    "question": "Write f.",
    "solution": "def f(x):\n    return x",
    "test": "from solution import f\n\ndef test_f():\n    assert f(1) == 1",
}
HUMANEVAL: dict[str, Any] = {
    "task_id": "H/1",
    "prompt": "def f(x):\n    '''Return x.'''\n",
    "canonical_solution": "    return x\n",
    "test": "def check(candidate):\n    assert candidate(1) == 1\n",
    "entry_point": "f",
}
MBPP: dict[str, Any] = {"task_id": 1, "text": "Return x.", "code": "def f(x):\n    return x", "test_list": ["assert f(1) == 1"]}
LINE = json.dumps(APPS)
KEPT = "kept"


@dataclass(frozen=True)
class Case:
    """A source and the outcome of its conversion."""

    converter: str
    content: bytes
    outcome: str
    """`kept`; or part of the error, of the reason of a reject, or of a file that is not read."""
    name: str = "rows.jsonl"
    shape: Shape = "rl"


def make(converter: str, given: Any, outcome: str, shape: Shape = "rl") -> Case:
    return Case(converter, json.dumps(given).encode(), outcome, shape=shape)


def pair(given: Any, outcome: str) -> list[Case]:
    """Return a row of APPS and one of Eurus with these tests."""
    text = given if isinstance(given, str) else json.dumps(given)
    eurus = {**EURUS, "reward_model": {**EURUS["reward_model"], "ground_truth": text}}
    return [make("apps", {**APPS, "input_output": text}, outcome), make("eurus", eurus, outcome)]


def parquet(rows: list[dict[str, Any]]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), file)
    return file.getvalue()


FILES = [
    *(Case("apps", content, "no rows: the source has no records") for content in (b"", b"\n", b" \r\n\t\n", b"[]", b"[ ]\n")),
    *(Case("apps", LINE.encode(name), f"encoded as {shown}") for name, shown in (("utf-16", "UTF-16"), ("utf-32", "UTF-32"))),
    *(Case("apps", LINE.encode(name), f"encoded as {name}") for name in ("UTF-16LE", "UTF-16BE", "UTF-32LE", "UTF-32BE")),
    Case("apps", json.dumps([APPS]).encode("utf-16"), "encoded as UTF-16", "rows.json"),
    Case("apps", gzip.compress(LINE.encode("utf-16")), "encoded as UTF-16", "rows.jsonl.gz"),
    Case("apps", b"\xef\xbb\xbf" + LINE.encode(), KEPT),
    Case("apps", b"\xef\xbb\xbf" + json.dumps([APPS]).encode(), KEPT, "rows.json"),
    Case("apps", json.dumps({**APPS, "question": "für"}, ensure_ascii=False).encode("latin-1"), "not UTF-8: byte 0xfc"),
    Case("apps", json.dumps([{**APPS, "question": "für"}], ensure_ascii=False).encode("latin-1"), "not UTF-8"),
    Case("apps", gzip.compress(LINE.encode()), "gzip data; end its name with .gz"),
    Case("apps", gzip.compress(LINE.encode()), KEPT, "rows.jsonl.gz"),
    Case("apps", gzip.compress(LINE.encode()), KEPT, "ROWS.JSONL.GZ"),
    Case("apps", gzip.compress(gzip.compress(LINE.encode())), "gzip data", "rows.jsonl.gz"),
    Case("apps", LINE.encode(), "Not a gzipped file", "rows.jsonl.gz"),
    Case("apps", gzip.compress(LINE.encode() * 99)[:-9], "end-of-stream", "rows.jsonl.gz"),
    Case("apps", b"\x28\xb5\x2f\xfd\x00", "zstd data"),
    Case("apps", b"BZh91AY", "bzip2 data"),
    Case("apps", b"\xfd7zXZ\x00\x00", "xz data"),
    Case("apps", b"PK\x03\x04", "a zip archive", "rows.json"),
    Case("apps", parquet([APPS]), "parquet data; end its name with .parquet"),
    Case("apps", parquet([APPS]), KEPT, "rows.parquet"),
    Case("apps", parquet([APPS]), KEPT, "rows.PARQUET"),
    Case("apps", parquet([APPS])[:-9], "rows.parquet: ", "rows.parquet"),
    Case("apps", parquet([])[:0], "rows.parquet: ", "rows.parquet"),
    Case("apps", parquet([{"text": "x"}]), "no column 'question'; found text", "rows.parquet"),
    *(
        Case("apps", b"a,b", "expected .jsonl, ", f"rows.{ending}")
        for ending in ("csv", "tsv", "txt", "arrow", "jsonl.zst", "yaml")
    ),
    Case("apps", json.dumps([APPS]).encode(), KEPT),
    Case("apps", json.dumps([APPS], indent=2).encode(), KEPT, "rows.json"),
    Case("apps", LINE.encode(), KEPT, "rows.json"),
    Case("apps", f"{LINE}\r\n{LINE}\r\n".encode(), KEPT),
    Case("apps", json.dumps(APPS, indent=1).encode(), "an object over several lines", "rows.json"),
    Case("apps", json.dumps({"data": [APPS]}, indent=1).encode(), "an object over several lines", "rows.json"),
    Case("apps", json.dumps({"data": [APPS]}).encode(), "the items of 'data' have it: write them as lines", "rows.json"),
    Case("apps", json.dumps({"rows": {"row": APPS}}).encode(), "no column 'question'; found rows"),
    Case("apps", b"{}", "no column 'question'; found none"),
    *(
        Case("apps", text.encode(), f"{words}, expected an object")
        for text, words in (("3", "a number"), ('"x"', "text"), ("null", "null"))
    ),
    *(
        Case("apps", text.encode(), f"{words}, expected an object")
        for text, words in (("true", "true"), ("[[1]]", "a list"), ("-1.5", "a number"))
    ),
    Case("apps", b"[3]", "a number, expected an object", "rows.json"),
    Case("apps", b"[", "not JSON in the element", "rows.json"),
    Case("apps", f"[{LINE}".encode(), "cut short", "rows.json"),
    Case("apps", f"[{LINE},]".encode(), "not JSON in the element", "rows.json"),
    Case("apps", f"[{LINE}]\n[{LINE}]".encode(), "after the end of the list", "rows.json"),
    Case("apps", f"[{LINE} {LINE}]".encode(), "expected , or ]", "rows.json"),
    Case("apps", b"x", "not JSON: "),
    Case("apps", LINE[:-2].encode(), "not JSON: "),
    Case("apps", f"{LINE} {LINE}".encode(), "not JSON: Extra data"),
    Case("apps", f"{LINE},".encode(), "not JSON: Extra data"),
    Case("apps", LINE.replace('"', "'").encode(), "not JSON: "),
    Case("apps", b"<html></html>", "not JSON: "),
    Case("apps", b"\x00\x01\x02\x03", "not JSON: "),
    Case("apps", b"[" * 100_000, "nested too deeply"),
    Case("apps", b'{"a":' * 100_000, "not JSON: "),
    Case("apps", LINE.replace("Double", "\\ud800").encode(), "half of a surrogate pair"),
    Case("apps", LINE.replace("Double", "\\ud83d\\ude00").encode(), KEPT),
    Case("apps", LINE.replace("Double", "\\u0000").encode(), KEPT),
]

PROBLEMS = [
    make("apps", {**APPS, "input_output": ""}, "it has no tests"),
    *pair("{", "not JSON: "),
    *pair([], "is a list, expected an object"),
    *pair("null", "is null, expected an object"),
    *pair({}, "has no 'inputs'"),
    *pair({"inputs": []}, "has no 'outputs'"),
    *pair({"inputs": [], "outputs": []}, "it has no tests"),
    *pair({"inputs": ["1"], "outputs": []}, "1 input and 0 outputs"),
    *pair({"inputs": "1", "outputs": "2"}, "inputs is text, expected a list"),
    *pair({"inputs": ["1"], "outputs": [None]}, "outputs[0] is null, expected text or a list of lines"),
    *pair({"inputs": [None], "outputs": ["1"]}, "inputs[0] is null"),
    *pair({"inputs": ["1"], "outputs": [True]}, "outputs[0] is true"),
    *pair({"inputs": [{}], "outputs": ["1"]}, "inputs[0] is an object"),
    *pair({"inputs": [["1", ["2"]]], "outputs": ["1"]}, "inputs[0] is a list with a list"),
    *pair({"inputs": [["1", "2"]], "outputs": [["1"]]}, KEPT),
    *pair({"inputs": [1], "outputs": [2.5]}, KEPT),
    *pair({"inputs": ["\ud800"], "outputs": ["1"]}, "half of a surrogate pair"),
    *pair({"inputs": ["1"], "outputs": ["\ud800"]}, "half of a surrogate pair"),
    *pair({**CALLS, "inputs": ['"\\ud800"'], "outputs": ["1"]}, "half of a surrogate pair"),
    *pair({**CALLS, "inputs": [["\udfff"]]}, "half of a surrogate pair"),
    *pair(CALLS, KEPT),
    *pair({**CALLS, "outputs": [None]}, KEPT),
    *pair({**CALLS, "fn_name": None, "inputs": ["2"]}, KEPT),
    *(
        each
        for name in ("a b", "f(", "class", "a.b", "1", "f; import os")
        for each in pair({**CALLS, "fn_name": name}, "fn_name is ")
    ),
    *pair({**CALLS, "fn_name": 3}, "fn_name is a number, expected text or null"),
    *pair({**CALLS, "inputs": [2]}, "an input is '2', expected a list of arguments"),
    *pair({**CALLS, "inputs": ["x"]}, "an input is 'x', expected a list of arguments, or JSON per line"),
    make("apps", {**APPS, "question": None}, "question is null, expected text"),
    make("apps", {**APPS, "question": " "}, "the problem has no statement"),
    make("apps", {**APPS, "difficulty": "Hard"}, "difficulty is 'Hard'; expected competition, interview or introductory"),
    make("apps", {**APPS, "difficulty": "introductry"}, "did you mean 'introductory'?"),
    make("apps", {**APPS, "difficulty": 3}, "difficulty is a number"),
    make("apps", {**APPS, "difficulty": ""}, KEPT),
    make("apps", {**APPS, "solutions": '["print 1"]'}, "none of its 1 solution is Python 3", "sft"),
    make("apps", {**APPS, "solutions": '["print 1", "x ="]'}, "none of its 2 solutions is Python 3", "sft"),
    make("apps", {**APPS, "solutions": "[]"}, "it has no solution", "sft"),
    make("apps", {**APPS, "solutions": '[" "]'}, "it has no solution", "sft"),
    make("apps", {**APPS, "solutions": "print(1)"}, "solutions: not JSON", "sft"),
    make("apps", {**APPS, "solutions": '"print(1)"'}, "solutions: the record is text, expected a list", "sft"),
    make("eurus", {**EURUS, "prompt": []}, "the prompt does not end with a user's message"),
    make("eurus", {**EURUS, "ability": "math"}, "ability is 'math', not code"),
    make("leetcode", LEETCODE, KEPT),
    make("leetcode", {**LEETCODE, "difficulty": "easy"}, "difficulty is 'easy'; did you mean 'Easy'?"),
    make("leetcode", {**LEETCODE, "difficulty": "Meidum"}, KEPT),
    make("leetcode", {**LEETCODE, "test": "x ="}, "test does not parse"),
    make("leetcode", {**LEETCODE, "test": "assert True"}, "test has no function `check(candidate)`"),
    make("leetcode", {**LEETCODE, "entry_point": "Solution.f"}, "fn_name is 'Solution.f'"),
    make("leetcode", {**LEETCODE, "entry_point": "a b"}, "fn_name is 'a b'"),
    make("leetcode", {**LEETCODE, "starter_code": None}, "neither query"),
    make(
        "leetcode", {**LEETCODE, "test": f"import numpy\n{LEETCODE['test']}", "prompt": "import numpy"}, "its tests need numpy"
    ),
    make("kodcode", KODCODE, KEPT),
    make("kodcode", {**KODCODE, "test": "def test_f():\n    assert f(1) == 1"}, KEPT),
    make("kodcode", {**KODCODE, "test": "def test_f():\n    assert True"}, "its tests import nothing from solution"),
    make("kodcode", {**KODCODE, "solution": "import torch\ndef f(x):\n    return x"}, "it needs torch"),
    make(
        "kodcode", {**KODCODE, "test": "from solution import g\n\ndef test_f():\n    assert g(1)"}, "which does not define it"
    ),
    make("humaneval", HUMANEVAL, KEPT),
    make("humaneval", {**HUMANEVAL, "test": f"import numpy as np\n{HUMANEVAL['test']}"}, "its tests need numpy"),
    make("humaneval", {**HUMANEVAL, "entry_point": "g"}, "prompt has no function g"),
    make("humaneval", {**HUMANEVAL, "test": "def check(candidate):\n    pass"}, "the tests assert nothing"),
    make("mbpp", MBPP, KEPT),
    make("mbpp", {**MBPP, "test_list": []}, "its tests call nothing of the solution"),
    make("mbpp", {**MBPP, "test_list": ["f(1)"]}, "is not one assertion"),
    make("mbpp", {**MBPP, "code": "def f(x) return x"}, "code does not parse"),
    make("verl_rows", EURUS, KEPT),
    make("verl_rows", {**EURUS, "images": [{"bytes": ""}]}, "it has images; rows have only text"),
    make("verl_rows", {**EURUS, "reward_model": {"ground_truth": None}}, "reward_model has no ground_truth"),
    make("verl_rows", {**EURUS, "reward_model": {"ground_truth": '{"inputs": ["\\ud800"]}'}}, "half of a surrogate pair"),
    make("verl_rows", {**EURUS, "prompt": [MODEL]}, "the prompt does not end with a user's message"),
]


def talk(turns: Any, outcome: str, **columns: Any) -> Case:
    return make("sharegpt", {"conversations": turns, **columns}, outcome, "sft")


def chat(turns: Any, outcome: str, **columns: Any) -> Case:
    return make("sharegpt", {"messages": turns, **columns}, outcome, "sft")


def call(name: str = "f", arguments: Any = "{}") -> dict[str, Any]:
    return {"id": "1", "type": "function", "function": {"name": name, "arguments": arguments}}


TALKS = [
    talk([HUMAN, GPT], KEPT),
    talk([], "0 turns, expected an even number"),
    talk([HUMAN], "1 turn, expected an even number"),
    talk([GPT, HUMAN], "turn 1 is from 'gpt'"),
    talk([HUMAN, HUMAN], "turn 2 is from 'human'"),
    talk("Q", "conversations is text, expected a list"),
    talk(None, "no turns"),
    talk([None], "conversations[0] is null, expected an object"),
    talk([["human", "Q"]], "conversations[0] is a list, expected an object"),
    talk([HUMAN, {"from": "narrator", "value": "A"}], "turn 2 is from 'narrator'"),
    talk([HUMAN, {"from": "gpt", "value": None}], "turn 2 has no text"),
    talk([HUMAN, {"from": "gpt", "value": ""}], "the last answer is empty"),
    talk([HUMAN, {"from": "gpt"}], "conversations[1] has no 'value'; found from"),
    talk([HUMAN, {"from": "gpt", "value": 1}], "conversations[1].value is a number"),
    talk([HUMAN, {"from": "function_call", "value": "f()"}], "turn 2 is not a tool call"),
    talk([HUMAN, {"from": "function_call", "value": "x<tool_call>[]</tool_call>"}], "turn 2 is not a tool call"),
    talk([HUMAN, GPT], "it has images; rows have only text", images=["x.png"]),
    talk([HUMAN, GPT], "it has image; rows have only text", image={"bytes": "x"}),
    talk([HUMAN, GPT], "it has videos; rows have only text", videos=["x.mp4"]),
    talk([HUMAN, GPT], "it has audios; rows have only text", audios=["x.wav"]),
    talk([HUMAN, GPT], KEPT, images=[]),
    talk([HUMAN, GPT], "tools is 'none'", tools="none"),
    talk([{"from": "system", "value": "S"}, HUMAN, GPT], "two different system messages", system="T"),
    talk([HUMAN, {**GPT, "weight": 0}], "all of its answers have weight 0"),
    talk([HUMAN, {**GPT, "weight": 0}, HUMAN, GPT], "turn 2 is not to train on, but turn 4 is"),
    talk([HUMAN, {**GPT, "weight": 2}], "turn 2 has weight 2, expected 0 or 1"),
    talk([HUMAN, {**GPT, "weight": "0"}], "conversations[1].weight is text, expected a number or null"),
    chat([USER, MODEL], KEPT),
    chat([{**USER, "content": [{"type": "text", "text": "Q"}]}, MODEL], KEPT),
    chat([{**USER, "content": [{"type": "image_url", "image_url": {"url": "x"}}]}, MODEL], "a part of type 'image_url'"),
    chat([{**USER, "content": [{"type": "input_audio"}]}, MODEL], "a part of type 'input_audio'"),
    chat([{**USER, "content": [{"type": "text"}]}, MODEL], "a part of type 'text'"),
    chat([{**USER, "content": [{"text": "Q"}]}, MODEL], "messages[0].content[0] has no 'type'"),
    chat([USER, {"role": "assistant"}], "turn 2 has no text"),
    chat([USER, {"role": "assistant", "tool_calls": []}], "turn 2 has no text"),
    chat([USER, {**MODEL, "tool_calls": [call()]}], KEPT),
    chat([USER, {"role": "assistant", "tool_calls": [call(), call()]}], KEPT),
    chat([USER, {"role": "assistant", "tool_calls": [call(arguments="x")]}], "the arguments of f are not JSON"),
    chat([USER, {"role": "assistant", "tool_calls": [call(arguments=None)]}], "arguments is null"),
    chat([USER, {"role": "assistant", "tool_calls": [{"id": "1"}]}], "messages[1].tool_calls[0] has no 'function'"),
    chat([USER, {"role": "assistant", "tool_calls": [call()]}, {"role": "tool", "content": "1"}], "3 turns"),
    chat([USER, {**MODEL, "reasoning_content": "R"}], KEPT),
    chat([USER, {**MODEL, "content": "<think>S</think>A", "reasoning_content": "R"}], "turn 2 has two thoughts"),
    chat([USER, {**MODEL, "content": "\ud800"}], "not UTF-8 text: half of a surrogate pair"),
    Case("sharegpt", b'{"messages": [{"role": "user", "content": "\xfc"}]}', "not UTF-8: byte 0xfc", shape="sft"),
    Case("sharegpt", b'{"messages": [{"role": "user", "content": NaN}]}', "not JSON: ", shape="sft"),
    Case("sharegpt", b'{"messages": [{"role": "user", "content": ' + b"[" * 99_999, "nested too deeply", shape="sft"),
    chat([{**USER, "reasoning": "R"}, MODEL], "turn 1 has a thought, but is from 'user'"),
    chat([USER, {**MODEL, "reasoning_content": 1}], "messages[1].reasoning_content is a number"),
    make("sharegpt", {"prompt": "Q", "completion": "A"}, KEPT, "sft"),
    make("sharegpt", {"prompt": [USER], "completion": [MODEL]}, KEPT, "sft"),
    make("sharegpt", {"prompt": "Q"}, "no column 'conversations', 'messages' or 'completion'; found prompt", "sft"),
    make("sharegpt", {"prompt": "Q", "completion": ""}, "the last answer is empty", "sft"),
    make("sharegpt", {"prompt": 1, "completion": "A"}, "prompt is a number, expected a list", "sft"),
    make("sharegpt", {"conversation": [HUMAN, GPT]}, "did you mean 'conversation'?", "sft"),
    make("alpaca", {"instruction": "Q", "output": "A"}, KEPT, "sft"),
    make("alpaca", {"instruction": "Q", "response": "A"}, KEPT, "sft"),
    make("alpaca", {"instruction": "Q", "output": "A", "images": ["x"]}, "it has images", "sft"),
    make("alpaca", {"instruction": "Q", "output": "A", "weight": 0}, "it has weight 0", "sft"),
    make("alpaca", {"instruction": "Q"}, "no column 'output' or 'response'; found instruction", "sft"),
    make("alpaca", {"output": "A"}, "no column 'instruction', 'prompt' or 'question'; found output", "sft"),
    make("alpaca", {"instruction": "Q", "output": None}, "no answer: expected output or response", "sft"),
    make("alpaca", {"instruction": "", "output": "A"}, "the instruction is empty", "sft"),
    make("alpaca", {"instruction": "Q", "output": ""}, "the last answer is empty", "sft"),
    make("alpaca", {"instruction": "Q", "output": 1}, "output is a number", "sft"),
    make("alpaca", {"prompt": "Q", "response": "A", "question": "P", "answer": "B"}, "choose by the options", "sft"),
    make(
        "alpaca", {"conversations": [HUMAN, GPT]}, "no column 'instruction', 'prompt' or 'question'; found conversations", "sft"
    ),
]
CASES = [*FILES, *PROBLEMS, *TALKS]


def find_outcome(case: Case, folder: Path) -> str:
    """Convert a case; return the error, the reasons of its rejects, or `kept`."""
    path = folder / case.name
    path.write_bytes(case.content)
    conversion = Conversion(Source(case.converter, path), case.shape, folder / "out.parquet", max_rejects=1.0)
    try:
        result = convert_source(conversion)
    except PrepareError as error:
        return str(error)
    return KEPT if not result.tally.first_rejected else str(result.tally.summarise())


@pytest.mark.parametrize("number", range(len(CASES)))
def test_outcome(number: int, tmp_path: Path) -> None:
    case = CASES[number]
    found = find_outcome(case, tmp_path)
    assert case.outcome in found
    assert case.outcome == KEPT or "\n" not in found
    assert len(found) < 600


def test_number_of_cases() -> None:
    assert sum(case.outcome != KEPT for case in CASES) >= 150
