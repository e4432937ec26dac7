"""Python files traced into records that the converter execverify_rl reads."""

import json
from pathlib import Path
from typing import Any

import pytest

from preprocess.converters.options import parse_options
from preprocess.converters.shared.execution import FileOptions
from preprocess.engine.convert import convert
from preprocess.engine.job import Reject, Source
from preprocess.errors import SourceError
from preprocess.jobs.trace_files import trace_files
from preprocess.rows import RlRow
from tests import ROOT

PROGRAM = '''
LIMIT = 3


def _low(x):
    return x < LIMIT


def count(items):
    """How many are low.

    >>> count([1, 5])
    1
    """
    total = 0
    for x in items:
        if _low(x):
            total += 1
    return total


def loop(n):
    while n:
        pass


def run():
    import os
    os.fork()


assert count([]) == 1
print(count([2]))
loop(1)
run()
count(LIMIT + input())
'''


def _trace(path: Path, **options: object) -> tuple[list[dict[str, Any]], list[Reject]]:
    made = list(trace_files(path, parse_options(options, FileOptions)))
    return [each for each in made if isinstance(each, dict)], [each for each in made if isinstance(each, Reject)]


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(PROGRAM)
    return path


def test_records_have_the_published_columns(program: Path) -> None:
    records, _ = _trace(program, task="both", questions=4)
    assert [(each["id"], each["type"]) for each in records] == [
        ("mine/count/0", "io_mixed"),
        ("mine/count/0/input", "oi"),
        ("mine/count/2", "io_mixed"),
        ("mine/count/2/input", "oi"),
    ]
    first, second = records[:2]
    assert (first["func_name"], first["func_args"], first["result"]) == ("count", "[1, 5]", "1")
    assert first["func_str"].startswith("LIMIT = 3\n\ndef _low(x):\n    return x < LIMIT\n\ndef count(items):\n    total = 0\n")
    assert "How many are low" not in first["prompt_str"]
    assert all(question in first["prompt_str"] for question in first["questions"])
    answers = first["question_answers"]
    assert len(first["questions"]) == len(answers["path_answers"]) + len(answers["state_as"]) == 4
    assert first["trace_events"][0] == {"line": 7, "turn": 1, "changed": {"total": ["int", "0"]}}
    assert second["question_answers"] == {}
    assert set(first) - set(second) == {"questions", "trace_events"}


def test_traced_rejects_have_line_and_reason(program: Path) -> None:
    _, rejects = _trace(program)
    assert [(each.line, each.reason) for each in rejects] == [
        (32, "count([]): it returns 0, expected 1"),
        (36, "count(3 + input()): EOFError: EOF when reading a line"),
        (34, "loop(1): more than 300 steps"),
        (35, "run(): it forks"),
    ]
    assert {each.source for each in rejects} == {str(program)}


def test_converter_reads_the_records(program: Path, tmp_path: Path) -> None:
    records, _ = _trace(program, task="both")
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in records))
    result = convert([Source("execverify_rl", path)], "rl")
    assert not result.rejects
    assert len(result.rows) == len(records)
    for row, record in zip(result.rows, records, strict=True):
        assert isinstance(row, RlRow)
        assert row.prompt[0].content == record["prompt_str"]


def test_tracing_is_deterministic(program: Path) -> None:
    assert _trace(program, questions=4) == _trace(program, questions=4)
    assert _trace(program, questions=4)[0] != _trace(program, questions=4, seed=18)[0]


def test_calls_beyond_max_calls_are_left_out(program: Path) -> None:
    records, rejects = _trace(program, max_calls=1)
    assert len(records) == 1
    assert [each.line for each in rejects if each.kind == "left_out"] == [32, 33, 36]


def test_folder_with_an_invalid_file(program: Path) -> None:
    (program.parent / "more").mkdir()
    (program.parent / "more" / "broken.py").write_text("x = 1\ndef f(:\n")
    (program.parent / "more" / "mine.py").write_text("def count(x):\n    return x\ncount(1)")
    records, rejects = _trace(program.parent)
    assert [each["id"] for each in records] == ["mine/count/0", "mine/count/2", "more/mine/count/0"]
    assert [(each.line, each.reason) for each in rejects if each.source.endswith("broken.py")] == [
        (2, "not Python: invalid syntax")
    ]


def test_missing_or_unreadable_file(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not exist"):
        _trace(tmp_path / "mine.py")
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(SourceError, match=r"expected \.py"):
        _trace(tmp_path / "mine.txt")
    (tmp_path / "bytes.py").write_bytes(b"\xff")
    with pytest.raises(SourceError, match="UTF-8"):
        _trace(tmp_path / "bytes.py")


def test_example_of_the_page(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "tracing.md").read_text(encoding="utf-8")
    (tmp_path / "mine.py").write_text(page.partition("```python\n")[2].partition("```")[0])
    records, rejects = _trace(tmp_path / "mine.py", task="both", questions=3)
    assert [each["type"] for each in records] == ["io_mixed", "oi"]
    assert f"````\n{records[0]['prompt_str']}\n````" in page
    assert f"`{json.dumps(records[0]['question_answers'])}`" in page
    assert records[1]["prompt_str"].split("\n")[-2] in page
    assert [each.line for each in rejects] == [27]
