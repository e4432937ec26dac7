"""Bad input: each record gives rows, or a reject with its line and reason; never a traceback."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from preprocess.converters import CONVERTERS
from preprocess.engine.job import Source
from preprocess.errors import PrepareError, SourceError
from preprocess.jobs.single import Conversion, convert_source
from preprocess.sources.reading import list_files, read_chunks
from tests.rows import QUESTION

TALK = [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]
FUNCTION = {"code": "def f(a):\n    return a", "input": "1", "output": "1", "id": "x"}

# Name -> converter, good record, bad record or line, and the reason.
CASES: dict[str, tuple[str, Any, Any, str]] = {
    "truncated": ("execverify_rl", QUESTION, b'{"type": "oi", "func_str": "def', "not JSON: Unterminated string"),
    "latin-1": ("execverify_rl", QUESTION, '{"type": "oi", "prompt_str": "für"}'.encode("latin-1"), "not UTF-8: byte 0xfc"),
    "half a surrogate pair": ("execverify_rl", QUESTION, {**QUESTION, "prompt_str": "\ud800"}, "not UTF-8 text"),
    "column missing": ("execverify_rl", QUESTION, {"type": "oi"}, "no column 'func_str'"),
    "column misspelt": (
        "sharegpt",
        {"conversations": TALK},
        {"conversation": TALK},
        "no turns: expected conversations, messages or completion",
    ),
    "unknown role": (
        "sharegpt",
        {"conversations": TALK},
        {"conversations": [{**TALK[0], "from": "narrator"}, TALK[1]]},
        "narrator",
    ),
    "odd number of turns": (
        "sharegpt",
        {"conversations": TALK},
        {"conversations": TALK[:1]},
        "1 turn, expected an even number",
    ),
    "no turns": ("sharegpt", {"conversations": TALK}, {"conversations": []}, "0 turns"),
    "empty answer": (
        "execverify_sft",
        {"conversations": TALK},
        {"conversations": [TALK[0], {**TALK[1], "value": " "}]},
        "empty",
    ),
    "a ground truth of 5 MB": (
        "execverify_rl",
        QUESTION,
        {**QUESTION, "func_str": "#" * 5_000_000},
        "a ground truth of 5,000,",
    ),
    "a program that loops": (
        "cruxeval",
        FUNCTION,
        {**FUNCTION, "code": "def f(a):\n    while True: pass"},
        "more than 300 steps",
    ),
    "a program that loops inside": (
        "cruxeval",
        FUNCTION,
        {**FUNCTION, "code": "def f(a):\n    return sum(1 for _ in iter(int, 1))"},
        "time",
    ),
    "a program that forks": (
        "cruxeval",
        FUNCTION,
        {**FUNCTION, "code": "import os\ndef f(a):\n    while True: os.fork()"},
        "it forks",
    ),
    "a program that does not parse": ("cruxeval", FUNCTION, {**FUNCTION, "code": "def f(:"}, "parse"),
}


def _convert(tmp_path: Path, converter: str, lines: list[Any], **changes: Any) -> list[dict[str, Any]]:
    source = tmp_path / "rows.jsonl"
    texts = [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines]
    source.write_bytes(b"\n".join(texts))
    shape = CONVERTERS[converter].shapes[-1]
    conversion = Conversion(Source(converter, source), shape, tmp_path / "out.parquet", **{"max_rejects": 0.5, **changes})
    convert_source(conversion)
    assert pq.read_metadata(conversion.output).num_rows == 2
    return [json.loads(line) for line in conversion.rejects.read_text().splitlines()]


@pytest.mark.parametrize("case", CASES)
def test_bad_record_becomes_a_reject(tmp_path: Path, case: str) -> None:
    converter, good, bad, reason = CASES[case]
    (reject,) = _convert(tmp_path, converter, [good, bad, good])
    assert (reject["source"], reject["line"], reject["kind"]) == (str(tmp_path / "rows.jsonl"), 2, "rejected")
    assert reason in reject["reason"]
    assert reject["reason"]
    assert "\n" not in reject["reason"]
    assert len(reject["reason"]) < 400


def test_too_many_rejects_fail_and_keep_the_old_file(tmp_path: Path) -> None:
    _convert(tmp_path, "execverify_rl", [QUESTION, b"{", QUESTION])
    before = (tmp_path / "out.parquet").read_bytes()
    with pytest.raises(
        PrepareError, match=r"2 of 3 records were rejected, more than max_rejects 0.5 allows; all are in .*, the first: .*:2: "
    ):
        _convert(tmp_path, "execverify_rl", [QUESTION, b"{", b"{"])
    assert (tmp_path / "out.parquet").read_bytes() == before
    assert len((tmp_path / "out.rejects.jsonl").read_text().splitlines()) == 2


def test_parquet_with_a_wrong_column_names_the_nearest(tmp_path: Path) -> None:
    source = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist([{f"{name}s": str(value) for name, value in QUESTION.items()}]), source)
    with pytest.raises(SourceError, match=r"rows.parquet:1: no column 'type'; did you mean 'types'\?"):
        convert_source(Conversion(Source("execverify_rl", source), "rl", tmp_path / "out.parquet"))
    assert [path.name for path in tmp_path.iterdir()] == ["rows.parquet"]


@pytest.mark.parametrize("converter", sorted(CONVERTERS))
def test_every_converter_rejects_invalid_values(tmp_path: Path, converter: str) -> None:
    """Put invalid values into each column of a good record in turn; only one-line errors are allowed."""
    made = CONVERTERS[converter]
    if made.read is not None:
        pytest.skip("reads Python files, whose mistakes are tested with their reader")
    files = list_files(made.example)
    good = json.loads(next(next(read_chunks(made.example, files)).read()).text)
    texts = ["", " ", "\x00", "{", "[1", "\u202e", "x" * 10_000]
    invalid: list[Any] = [*texts, None, 7, -1.5, True, [], [None], [[]], {}, {"": None}]
    records = [{**good, column: value} for column in good for value in invalid]
    source = tmp_path / "rows.jsonl"
    source.write_text("".join(json.dumps(record) + "\n" for record in [good, *records]))
    for shape in made.shapes:
        result = convert_source(Conversion(Source(converter, source), shape, tmp_path / "out.parquet", max_rejects=1.0))
        assert result.tally.records == 1 + len(records)
        assert result.rows + result.tally.count("rejected") + result.tally.count("left_out") >= result.tally.records
