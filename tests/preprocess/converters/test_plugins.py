"""Custom converters: the example of the page, accepted results, and one-line errors."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.checks.preflight import find_data_problems
from pipelines.cli import main as cli
from pipelines.recipe.loading import load
from preprocess import converters
from preprocess.engine.convert import Converted, convert
from preprocess.engine.job import Job, Source
from preprocess.engine.parallel import convert_all
from preprocess.engine.splits import Whole
from preprocess.errors import SourceError
from preprocess.jobs.prepare import main
from preprocess.rows import RlRow, SftRow, Shape, to_json
from preprocess.sources import reading
from tests import ROOT

PAGE = (ROOT / "docs" / "own-converters.md").read_text(encoding="utf-8")
EXAMPLE = dict(re.findall(r"^```(?:python|yaml)\n# (\w+\.\w+)\n(.*?)^```$", PAGE, re.M | re.S))
RIDDLES = [
    {"riddle": "What has keys and no locks?", "answer": "piano", "language": "en"},
    {"riddle": "Was hat Blätter und ist kein Baum?", "answer": "Buch", "language": "de"},
    {"riddle": "What has hands and cannot clap?", "answer": "clock", "language": "en"},
]

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes a file with a converter; its first line imports the decorator."""

    def write_file(text: str, name: str = "mine.py") -> Path:
        path = tmp_path / name
        path.write_text("from preprocess.converters.plugins import converter\n" + text, encoding="utf-8")
        return path

    return write_file


def run(file: Path, records: list[Any], shape: Shape = "rl", **options: Any) -> Converted:
    """Convert records with the converter `mine` of a file."""
    source = file.with_name("rows.jsonl")
    source.write_text("".join(json.dumps(each) + "\n" for each in records), encoding="utf-8")
    return convert([Source("mine", source, options=options, file=file)], shape)


def reasons(result: Converted) -> list[tuple[int, str, str]]:
    return [(each.line, each.kind, each.reason) for each in result.rejects]


def test_example_of_the_page(tmp_path: Path) -> None:
    for name, text in EXAMPLE.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    source = tmp_path / "riddles.jsonl"
    source.write_text("".join(json.dumps(each) + "\n" for each in RIDDLES))
    loaded = load(tmp_path / "riddles.yaml")
    assert find_data_problems(loaded) == []
    data = next(stage for stage in loaded.recipe.stages if stage.name == "stage-one").data
    assert not isinstance(data.train, list)
    config = {"shape": "rl", "train": [data.train.model_dump()], "validation": {"fraction": 0.2}, "output": str(tmp_path / "o")}
    (tmp_path / "prepare.json").write_text(json.dumps(config))
    assert main([str(tmp_path / "prepare.json")]) == 0
    rows = [row for split in ("train", "validation") for row in pq.read_table(tmp_path / "o" / f"{split}.parquet").to_pylist()]
    assert {(row["extra_info"]["id"], row["prompt"][0]["content"], row["reward_model"]["ground_truth"]) for row in rows} == {
        ("riddles:1", "What has keys and no locks?\nIt has 5 letters.", '{"answer": "piano"}'),
        ("riddles:3", "What has hands and cannot clap?\nIt has 5 letters.", '{"answer": "clock"}'),
    }
    assert {row["data_source"] for row in rows} == {"riddles"}
    (reject,) = [json.loads(line) for line in (tmp_path / "o" / "rejects.jsonl").read_text().splitlines()]
    assert (reject["line"], reject["kind"], reject["reason"]) == (2, "left_out", "converter riddles gave no row")
    taught = convert([Source("riddles_sft", source, file=tmp_path / "riddles.py")], "sft").rows
    assert [row.conversations[1].value for row in taught if isinstance(row, SftRow)] == ["piano", "Buch", "clock"]


def test_command_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "riddles.py").write_text(EXAMPLE["riddles.py"], encoding="utf-8")
    (tmp_path / "riddles.jsonl").write_text("".join(json.dumps(each) + "\n" for each in RIDDLES))
    (command,) = re.findall(r"^(pipeline .*)$", PAGE, re.M)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", shlex.split(command))
    with pytest.raises(SystemExit) as exited:
        cli.main()
    assert not exited.value.code
    assert pq.read_metadata(tmp_path / "riddles.parquet").num_rows == 2


def test_check_finds_mistakes_in_the_recipe(tmp_path: Path) -> None:
    for name, text in EXAMPLE.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "riddles.jsonl").touch()
    for old, new, message in [
        (
            "converter: riddles,",
            "converter: ridles,",
            "riddles.py registers no converter called 'ridles'; did you mean 'riddles'?",
        ),
        ("converter: riddles,", "converter: riddles_sft,", "converter riddles_sft makes no rl rows, only sft"),
        ("hint: true", "hnt: true", "converter riddles: unknown 'hnt'; did you mean 'hint'?"),
        ("hint: true", "hint: 7", "converter riddles: hint is a number, expected true or false"),
        (
            "file: riddles.py",
            "file: riddle.py",
            f"plugin file {tmp_path}/riddle.py not found; did you mean '{tmp_path}/riddles.py'?",
        ),
    ]:
        recipe = EXAMPLE["riddles.yaml"]
        assert old in recipe
        (tmp_path / "wrong.yaml").write_text(recipe.replace(old, new))
        (problem,) = find_data_problems(load(tmp_path / "wrong.yaml"))
        assert problem.startswith(f"{tmp_path}/wrong.yaml:5: stages.stage-one.data: ")
        assert message in problem


def test_options(write: Write) -> None:
    file = write("""
from typing import Literal

@converter("mine", "rl")
def mine(record, *, needed: int, choice: Literal["a", "b"] = "a", copy=1.5, later: "Unknown" = "x"):
    return {"prompt": f"{needed} {choice} {copy} {later}", "ground_truth": 1}
""")
    assert [row.problem for row in run(file, [{}], needed=3).rows] == ["3 a 1.5 x"]
    assert [row.problem for row in run(file, [{}], needed=3, choice="b", copy=2, later="y").rows] == ["3 b 2.0 y"]
    wrong: list[tuple[dict[str, Any], str]] = [
        ({}, "converter mine: options has no 'needed'; found none"),
        ({"needed": "many"}, "converter mine: needed is text, expected a number"),
        ({"needed": 3, "choice": "c"}, "converter mine: choice is 'c', expected a or b"),
        ({"needed": 3, "chioce": "a"}, "converter mine: unknown 'chioce'; did you mean 'choice'?"),
    ]
    for options, message in wrong:
        with pytest.raises(SourceError) as caught:
            run(file, [{}], **options)
        assert message in str(caught.value)


def test_types_of_options_from_their_defaults(write: Write) -> None:
    file = write("""
from pathlib import Path

@converter("mine", "rl")
def mine(record, *, words=["a"], schema={"b": 1}, where: Path = Path("c"), anything=None):
    return {"prompt": f"{words} {schema} {where} {anything}", "ground_truth": 1}
""")
    assert [row.problem for row in run(file, [{}]).rows] == ["['a'] {'b': 1} c None"]
    assert [row.problem for row in run(file, [{}], words=["x", 2], where="d", anything=[3]).rows] == ["['x', 2] {'b': 1} d [3]"]
    with pytest.raises(SourceError, match="converter mine: where is a number, expected a path"):
        run(file, [{}], where=3)


def test_several_rows_of_one_record(write: Write) -> None:
    file = write("""
from preprocess.rows import Message, RlRow

@converter("mine", "rl")
def mine(record):
    yield {"prompt": [{"role": "system", "content": "S"}, {"role": "user", "content": "Q"}], "ground_truth": "any text"}
    yield RlRow(problem="p", data_source="d", prompt=(Message("user", "Q"),), ground_truth={"a": 1})
    yield {"prompt": "Q", "ground_truth": [1], "data_source": "e", "id": "x", "ability": "y", "detail": {"solution": "s"},
           "tools": ["t"], "problem": "z"}
""")
    result = run(file, [{}])
    rows = [row for row in result.rows if isinstance(row, RlRow)]
    assert [to_json(row.ground_truth) for row in rows] == ["any text", '{"a": 1}', "[1]"]
    assert [(row.id, row.data_source, row.problem) for row in rows] == [
        ("rows:1", "mine", "Q"),
        ("rows:1/1", "d", "p"),
        ("x", "e", "z"),
    ]
    assert (rows[2].ability, rows[2].detail, rows[2].tools) == ("y", {"solution": "s"}, ("t",))


ANY_ROW = 'return {"prompt": "Q", "ground_truth": 1}'


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("return record['answr']", "KeyError: 'answr'; did you mean 'answer'? ({file}:5)"),
        ("return {}['b']", "KeyError: 'b'; found answer ({file}:5)"),
        ("1 / 0", "ZeroDivisionError: division by zero ({file}:5)"),
        ("yield 1 / 0", "ZeroDivisionError: division by zero ({file}:5)"),
        ("return map(int, 'x')", "ValueError: invalid literal for int() with base 10: 'x'"),
        ("raise SystemExit(0)", "SystemExit: 0 ({file}:5)"),
        ("raise ValueError('a\\nb')", "ValueError: a b ({file}:5)"),
        ("raise RowError('no answer')", "no answer"),
        ("return {'prompt': 'Q'}", "converter mine gave a wrong row: the record has no 'ground_truth'; found prompt"),
        (
            "return {'prompt': 3, 'ground_truth': 1}",
            "converter mine gave a wrong row: prompt is a number, expected text or a list",
        ),
        ("return [None, {'prompt': 'Q', 'ground_truth': 1}]", "converter mine gave null, expected a mapping"),
        ("return {'prompt': ' ', 'ground_truth': 1}", "the prompt does not end with a user's message"),
    ],
)
def test_failing_function_rejects_the_record(write: Write, body: str, reason: str) -> None:
    imports = "from preprocess.errors import RowError"
    file = write(f'{imports}\n@converter("mine", "rl")\ndef mine(record):\n    {body}\n')
    result = run(file, [{"answer": 1}])
    assert not result.rows
    ((line, kind, found),) = reasons(result)
    assert (line, kind) == (1, "rejected")
    assert reason.replace("{file}", str(file)) in found
    assert "\n" not in found


def test_left_out(write: Write) -> None:
    file = write("""
from preprocess.errors import LeftOutError

@converter("mine", "rl")
def mine(record):
    if record["n"] == 1:
        raise LeftOutError("it is one")
    return [] if record["n"] == 2 else None
""")
    assert reasons(run(file, [{"n": n} for n in (1, 2, 3)])) == [
        (1, "left_out", "it is one"),
        (2, "left_out", "converter mine gave no row"),
        (3, "left_out", "converter mine gave no row"),
    ]


def test_invalid_records(write: Write) -> None:
    file = write(f'@converter("mine", "rl")\ndef mine(record):\n    {ANY_ROW}\n')
    result = run(file, [{"x": float("nan")}, [1], 7])
    assert len(result.rows) == 1
    assert reasons(result) == [
        (2, "rejected", "a list, expected an object"),
        (3, "rejected", "a number, expected an object"),
    ]


def test_parquet_rows_have_all_columns(write: Write, tmp_path: Path) -> None:
    file = write("""
@converter("mine", "rl")
def mine(record):
    return {"prompt": record["q"], "ground_truth": record}
""")
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"q": ["Q"], "n": [[1, 2]], "s": [{"a": None}]}), path)
    (row,) = convert([Source("mine", path, file=file)], "rl").rows
    assert isinstance(row, RlRow)
    assert to_json(row.ground_truth) == '{"n": [1, 2], "q": "Q", "s": {"a": null}}'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = (\n", "{file}:2: does not import: SyntaxError: '(' was never closed"),
        ("import no_such_package\n", "{file}:2: does not import: ModuleNotFoundError: No module named 'no_such_package'"),
        ("x = 1\n", '{file} registers no converter; put @converter("name", "sft") before its function'),
        ("@converter\ndef mine(record): ...\n", "{file}:2: does not import: TypeError: converter() missing 1 required"),
        (
            "@converter('mine', 'sfd')\ndef mine(record): ...\n",
            '{file}:2: write @converter("name", "sft") or @converter("name", "rl")',
        ),
        (
            "@converter('mine', 'rl')\ndef mine(): ...\n",
            "{file}:2: converter mine ({file}:2) takes no record; expected (record, *, ",
        ),
        (
            "@converter('mine', 'rl')\ndef mine(record, b=1): ...\n",
            "converter mine ({file}:2): parameter b is not keyword-only; ",
        ),
        (
            "@converter('mine', 'rl')\ndef mine(record, **b): ...\n",
            "converter mine ({file}:2): parameter b is not keyword-only; ",
        ),
        (
            "@converter('mine', 'rl')\ndef mine(record, *, b: list[int] | tuple[int] = ()): ...\n",
            "converter mine ({file}:2): its options cannot be read: Type unions may not contain more than one array-like",
        ),
        (
            "@converter('mine', 'rl')\ndef mine(record, *, runs_programs=1): ...\n",
            "converter mine ({file}:2): an option cannot be called runs_programs",
        ),
        (
            "@converter('mine', 'rl')\nasync def mine(record): ...\n",
            "converter mine ({file}:2) is async; expected (record, *, ",
        ),
        (
            "@converter('mine', 'rl')\ndef a(r): ...\n" * 2,
            "{file}:4: two converters are called 'mine'; the second is at {file}:4",
        ),
        (
            "@converter('mien', 'rl')\ndef mine(record): ...\n",
            "{file} registers no converter called 'mine'; did you mean 'mien'?",
        ),
    ],
)
def test_broken_file_is_a_one_line_error(write: Write, text: str, message: str) -> None:
    file = write(text)
    for _ in range(2):
        with pytest.raises(SourceError) as caught:
            converters.find("mine", file)
        assert message.format(file=file) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_processes_import_the_file(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "CHUNK_BYTES", 100)
    file = write("""
import os
from helper import NAME

@converter("mine", "rl")
def mine(record):
    return {"prompt": f"{NAME} {record['n']}", "ground_truth": os.getpid()}
""")
    file.with_name("helper.py").write_text("NAME = 'Q'\n")
    source = file.with_name("rows.jsonl")
    source.write_text("".join(json.dumps({"n": n}) + "\n" for n in range(400)))
    job = Job(Source("mine", source, file=file), "rl", Whole("train"))
    parts = list(convert_all([job]))
    rows = [row for part in parts for batch in part.batches.values() for row in batch.to_pylist()]
    assert [row["prompt"][0]["content"] for row in rows] == [f"Q {n}" for n in range(400)]
