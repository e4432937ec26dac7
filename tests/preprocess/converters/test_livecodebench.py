"""livecodebench, livecodebench_exec: tests of both types, packed ones, and functions without imports."""

from __future__ import annotations

import base64
import json
import os
import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest

from preprocess.converters.shared.imports import add_imports
from preprocess.converters.shared.packed_text import unpack_text
from preprocess.errors import RowError
from tests.preprocess.converters.code_rows import convert_record, judge, take_reject, take_rl

TEXTS = [{"input": f"{n}\n", "output": f"{2 * n}\n", "testtype": "stdin"} for n in range(12)]
CALLS = [{"input": '["a", "b"]\n2', "output": "[2, 2]", "testtype": "functional"}]
RECORD: dict[str, Any] = {
    "question_content": "Print the double.",
    "question_id": "abc1_a",
    "platform": "atcoder",
    "difficulty": "easy",
    "contest_date": "2024-10-05T00:00:00",
    "starter_code": "",
    "public_test_cases": json.dumps(TEXTS[:1]),
    "private_test_cases": json.dumps(TEXTS[1:]),
    "metadata": "{}",
}
FUNCTION = {
    **RECORD,
    "starter_code": "class Solution:\n    def count(self, words: List[str], n: int) -> List[int]:\n        ",
    "public_test_cases": json.dumps(CALLS),
    "private_test_cases": "[]",
    "metadata": json.dumps({"func_name": "count"}),
}
EXECUTION: dict[str, Any] = {
    "question_id": "7",
    "id": "sample_3",
    "function_name": "first",
    "code": "def first(words: List[str]) -> Optional[str]:\n    return words[0]",
    "input": "first(words = ['a'])",
    "output": "'a'",
    "difficulty": "easy",
}


DAMAGED = [b"?", b"??????????", zlib.compress(b"?")]


def pack(value: Any, protocol: int = 4) -> str:
    return base64.b64encode(zlib.compress(pickle.dumps(value, protocol=protocol))).decode()


def test_standard_input(tmp_path: Path) -> None:
    row = take_rl(convert_record("livecodebench", "rl", tmp_path, RECORD, max_tests=100))
    assert isinstance(row.ground_truth, dict)
    assert row.ground_truth["inputs"] == [test["input"] for test in TEXTS]
    assert "The program reads standard input" in row.prompt[0].content
    assert row.detail == {"difficulty": "easy", "platform": "atcoder", "contest_date": "2024-10-05T00:00:00"}
    assert row.id == "livecodebench/abc1_a"
    assert judge(row, "print(2 * int(input()))") == 1.0
    assert judge(row, "print(2)") == pytest.approx(0.1)


def test_function(tmp_path: Path) -> None:
    row = take_rl(convert_record("livecodebench", "rl", tmp_path, FUNCTION))
    assert "```python\nclass Solution:\n    def count(self, words" in row.prompt[0].content
    assert judge(row, f"{FUNCTION['starter_code']}return [n] * len(words)") == 1.0
    assert judge(row, f"{FUNCTION['starter_code']}return []") == 0.0


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_packed_tests(tmp_path: Path, protocol: int) -> None:
    plain = take_rl(convert_record("livecodebench", "rl", tmp_path, RECORD))
    packed = {**RECORD, "private_test_cases": pack(RECORD["private_test_cases"], protocol)}
    assert take_rl(convert_record("livecodebench", "rl", tmp_path, packed)).ground_truth == plain.ground_truth


def test_rows_of_sandbox_fusion(tmp_path: Path) -> None:
    pairs = {"inputs": ["1\n2"], "outputs": ["3"], "fn_name": "add"}
    record = {
        "content": "You are a programmer.\n### Question:\nAdd them.\n\n### Format: Use this.\n```python\nclass Solution:\n"
        "    def add(self, a, b):\n        \n```\n\n### Answer: \n",
        "test": pack({"input_output": json.dumps(pairs)}),
        "labels": json.dumps({"task_id": "leetcode/1", "difficulty": "hard", "category": "leetcode"}),
        "canonical_solution": "import sys; sys.exit(0)",
    }
    row = take_rl(convert_record("livecodebench", "rl", tmp_path, record))
    assert row.prompt[0].content.startswith("Add them.\n```python\nclass Solution:\n    def add(self, a, b):\n```\n")
    assert row.detail == {"difficulty": "hard", "platform": "leetcode"}
    assert judge(row, "def add(a, b):\n    return a + b") == 1.0


@pytest.mark.parametrize(
    ("change", "options", "kind", "reason"),
    [
        ({"difficulty": "hard"}, {"difficulty": ["easy"]}, "left_out", "its difficulty is hard"),
        ({}, {"since": "2024-11-01"}, "left_out", "its contest was on 2024-10-05, before 2024-11-01"),
        ({"public_test_cases": "[]", "private_test_cases": "[]"}, {}, "left_out", "it has no tests"),
        ({"private_test_cases": json.dumps(CALLS)}, {}, "rejected", "its tests are of two types"),
        ({**FUNCTION, "metadata": "{}"}, {}, "rejected", "metadata has no func_name"),
        ({"private_test_cases": "x"}, {}, "rejected", "private_test_cases: neither JSON nor a packed text"),
        ({"question_content": None}, {}, "rejected", "neither question_content and question_id, nor content"),
        ({"content": "Add them."}, {}, "rejected", "labels: "),
    ],
)
def test_without_row(tmp_path: Path, change: dict[str, Any], options: dict[str, Any], kind: str, reason: str) -> None:
    found, text = take_reject(convert_record("livecodebench", "rl", tmp_path, {**RECORD, **change}, **options))
    assert (found, text[: len(reason)]) == (kind, reason)


class Code:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch unpickled",)


@pytest.mark.parametrize("value", [Code(), [Code(), "text"], b"text", ("text",), 3])
def test_only_texts_are_unpacked(value: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RowError, match="column: a pickle "):
        unpack_text(pack(value), "column")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("packed", ["?", pack("x")[:-8], *(base64.b64encode(each).decode() for each in DAMAGED)])
def test_damaged_texts(packed: str) -> None:
    with pytest.raises(RowError, match=r"column: (neither JSON nor a packed text|more than .* or truncated)"):
        unpack_text(packed, "column")


def test_execution(tmp_path: Path) -> None:
    row = take_rl(convert_record("livecodebench_exec", "rl", tmp_path, EXECUTION, questions=0))
    assert row.prompt[0].content.startswith("```python\nfrom typing import List, Optional\n\ndef first(words")
    assert "Complete the assertion: assert first(words=['a']) == ??" in row.prompt[0].content
    assert (row.id, row.problem) == ("livecodebench_exec/sample_3", "livecodebench_exec/7")
    assert row.detail == {"difficulty": "easy"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"output": "'b'"}, "it returns 'a', expected 'b'"),
        ({"input": "second(1)"}, "input is 'second(1)', expected a call of first"),
        ({"input": "first("}, "input is 'first(', expected a call of first"),
    ],
)
def test_execution_rejected(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    assert take_reject(convert_record("livecodebench_exec", "rl", tmp_path, {**EXECUTION, **change})) == ("rejected", reason)


@pytest.mark.parametrize(
    ("code", "added"),
    [
        ("def f(x: List[int]) -> int:\n    return x", "from typing import List\n\n"),
        ("def f(x):\n    return Counter(x), math.pi", "import math\nfrom collections import Counter\n\n"),
        ("import math\ndef f(x):\n    return math.pi", ""),
        ("def f(x):\n    return unknown(x)", ""),
        ("def f(", ""),
    ],
)
def test_imports_that_a_program_lacks(code: str, added: str) -> None:
    assert add_imports(code) == f"{added}{code}"
