"""`pipeline data`: on a terminal, and in a pipe."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipelines.cli import main as cli
from pipelines.cli.data.converters import show_type
from preprocess.converters import CONVERTERS
from tests.pipelines.run.test_display import run_on_terminal

Call = Callable[..., tuple[int, str, str]]

RECIPE = """
name: small
model: {make: qwen2}
stages:
  - name: first
    kind: sft
    data: {train: {converter: execverify_sft, source: said.jsonl}, validation: {fraction: 0.3}, max_rejects: 0.2}
    steps: 1
    learning_rate: 0.1
  - name: second
    kind: sft
    data: {train: {converter: execverify_sft, source: said.jsonl}, validation: {fraction: 0.3}, max_rejects: 0.01}
    steps: 1
    learning_rate: 0.1
"""


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    """Call `pipeline data …` in a folder with said.jsonl (line 4 is broken), asked.json and small.yaml."""
    monkeypatch.chdir(tmp_path)
    lines = []
    for number in range(10):
        turns = [{"from": "human", "value": f"question {number}"}, {"from": "gpt", "value": f"answer {number}"}]
        lines.append(json.dumps({"conversations": turns[: 1 if number == 3 else 2]}))
    (tmp_path / "said.jsonl").write_text("\n".join(lines))
    asked = {"type": "oi", "func_str": "def f(a):\n\treturn a", "func_name": "f", "func_args": "1", "result": "1"}
    records = [{**asked, "prompt_str": f"\x1b[31mRed {n}\u202e", "question_answers": {}} for n in range(3)]
    (tmp_path / "asked.json").write_text(json.dumps(records))
    (tmp_path / "small.yaml").write_text(RECIPE)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pipeline", "data", *arguments])
        with pytest.raises(SystemExit) as exited:
            cli.main()
        out, err = capfd.readouterr()
        return int(exited.value.code or 0), out, err

    return run


def test_convert_reports_rows_and_rejects(call: Call, tmp_path: Path) -> None:
    status, out, err = call("convert", "execverify_sft", "said.jsonl", "-o", "rows.parquet", "--max-rejects", "0.2")
    assert status == 0
    assert [line.split("\t") for line in out.splitlines()] == [
        ["outcome", "count", "reason"],
        ["rejected", "1", "1 turn, expected an even number of at least two"],
    ]
    assert err.splitlines() == [
        "10 records -> 9 sft rows in rows.parquet",
        "rejected records with line and reason: rows.rejects.jsonl",
        "next: pipeline data show rows.parquet",
    ]
    assert pq.read_metadata(tmp_path / "rows.parquet").num_rows == 9


def test_convert_each_file_of_a_folder(call: Call, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a", "b"):
        (tmp_path / "in" / f"{name}.jsonl").write_text((tmp_path / "said.jsonl").read_text())
    status, out, err = call(
        "convert", "execverify_sft", "in", "-o", "out", "--per-file", "--max-rejects", "0.2", "--limit", "12"
    )
    assert status == 0
    assert [line.split("\t") for line in out.splitlines()[:3]] == [
        ["rows", "file"],
        ["9", "out/a.parquet"],
        ["2", "out/b.parquet"],
    ]
    assert "12 records -> 11 sft rows in 2 files in out" in err


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("execverify_sf", "said.jsonl"), "no converter is called 'execverify_sf'; did you mean 'execverify_sft'?"),
        (("execverify_sft", "sad.jsonl"), "source not found: sad.jsonl; did you mean 'said.jsonl'?"),
        (("execverify_sft", "said.jsonl", "--shape", "rl"), "converter execverify_sft makes no rl rows, only sft"),
        (("cruxeval", "said.jsonl"), "converter cruxeval makes sft and rl rows; choose one: --shape sft"),
        (("cruxeval", "said.jsonl", "--shape", "rl"), "said.jsonl:1: no column 'code'"),
        (("execverify_sft", "said.jsonl", "--option", "x=1"), "converter execverify_sft: unknown 'x'"),
        (("execverify_sft", "said.jsonl", "--option", "x"), "--option x: expected KEY=VALUE"),
        (("sharegpt", "said.jsonl", "--option", "roles=[bot"), "--option roles: not valid YAML: "),
        (
            ("sharegpt", "said.jsonl", "--option", "roles={bot: robot}"),
            "converter sharegpt: roles[...] is 'robot', expected system or",
        ),
        (("sharegpt", "said.jsonl", "--option", "roles="), "converter sharegpt: roles is null, expected an object"),
        (("execverify_sft", "small.yaml"), "expected .jsonl"),
        (("execverify_sft", "said.jsonl", "-o", "said.jsonl"), "said.jsonl: expected the name of a .parquet file"),
    ],
)
def test_mistakes_are_one_line_and_status_2(call: Call, tmp_path: Path, arguments: tuple[str, ...], line: str) -> None:
    status, out, err = call("convert", "-o", "rows.parquet", *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("error: ") and line in err and err.count("\n") == 1
    assert not list(tmp_path.glob("rows*"))


def test_too_many_rejects_are_a_failure(call: Call, tmp_path: Path) -> None:
    status, out, err = call("convert", "execverify_sft", "said.jsonl", "-o", "rows.parquet")
    assert (status, out) == (1, "")
    assert "1 of 10 records was rejected, more than max_rejects 0.01 allows; all are in rows.rejects.jsonl, the first: " in err
    assert [path.name for path in tmp_path.glob("rows*")] == ["rows.rejects.jsonl"]


def test_an_unwritable_output_is_a_failure(call: Call) -> None:
    status, _, err = call("convert", "execverify_sft", "said.jsonl", "-o", "/proc/rows.parquet", "--max-rejects", "1")
    assert status == 1
    assert err.startswith("error: /proc/") and err.count("\n") == 1


def test_show_rows_and_records(call: Call) -> None:
    call("convert", "execverify_rl", "asked.json", "-o", "rows.parquet")
    status, out, err = call("show", "rows.parquet", "-n", "1")
    assert (status, err) == (0, "")
    assert "\x1b" not in out and "\u202e" not in out
    name = re.match(r"row 0  (\S+)\n", out)
    assert name is not None
    lines = out.splitlines()
    assert lines[2:4] == ["  prompt: user", "    \\x1b[31mRed 0\\u202e"]
    assert lines[lines.index("      func_str:") :][1:3] == ["        def f(a):", "        \treturn a"]
    assert call("show", "rows.parquet", "--id", name[1])[1] == call("show", "rows.parquet", "--row", "0")[1] == out
    assert call("show", "rows.parquet", "--row", "2")[1].startswith("row 2  ")
    assert call("show", "asked.json")[1].count("prompt_str: \\x1b[31mRed") == 3
    status, out, _ = call("show", "said.jsonl", "--row", "5")
    assert out.splitlines() == [
        "line 5",
        "  conversations: human",
        "    question 4",
        "  conversations: gpt",
        "    answer 4",
    ]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("row.parquet",), "file not found: row.parquet; did you mean 'rows.parquet'?"),
        (("rows.parquet", "--row", "3"), "rows.parquet has no row 3"),
        (("rows.parquet", "--id", "execverify/0"), "rows.parquet has no row with the id 'execverify/0'"),
        (("rows.parquet", "--id", "x", "--row", "1"), "use either --row or --id"),
        (("said.jsonl", "--row", "11"), "said.jsonl has no line 11"),
        (("said.jsonl", "--id", "x"), "have no ids; use --row N"),
        (("small.yaml",), "expected .jsonl"),
        (("broken.parquet",), "broken.parquet is not a parquet file"),
    ],
)
def test_mistakes_of_show(call: Call, tmp_path: Path, arguments: tuple[str, ...], line: str) -> None:
    call("convert", "execverify_rl", "asked.json", "-o", "rows.parquet")
    (tmp_path / "broken.parquet").write_text("x")
    status, out, err = call("show", *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("error: ") and line in err and err.count("\n") == 1


@pytest.mark.parametrize("width", [80, 200])
def test_on_a_terminal(call: Call, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(width))
    _, converted, _ = call("convert", "execverify_rl", "asked.json", "-o", "rows.parquet")
    assert converted.splitlines()[0] == "3 records -> 3 rl rows in rows.parquet"
    _, shown, _ = call("show", "rows.parquet")
    _, listed, _ = call("converters")
    _, one, _ = call("converters", "leetcode")
    assert "\x1b[31m" not in shown
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown + listed + one)
    assert "\\x1b[31mRed 0" in plain and "        def f(a):\n            return a\n" in plain
    assert "max_tests=10  whole number" in plain
    assert max(len(line) for line in plain.splitlines()) <= width


PROGRAM = '''
def twice(n):
    """
    >>> twice(21)
    42
    """
    return n * 2


def lost(n):
    """
    >>> lost(open("/nowhere"))
    """
    return n
'''


def test_trace_output_is_read_by_execverify_rl(call: Call, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    status, out, err = call("trace", "program.py", "-o", "questions.jsonl", "--option", "questions=1")
    assert status == 0
    assert [line.split("\t")[:2] for line in out.splitlines()[:2]] == [["outcome", "count"], ["rejected", "1"]]
    assert err.splitlines()[0] == "1 row in questions.jsonl, in the format of ExecVerify"
    assert err.splitlines()[-1] == "next: pipeline data convert execverify_rl questions.jsonl -o questions.parquet"
    assert json.loads((tmp_path / "questions.jsonl").read_text())["result"] == "42"
    status, _, err = call("convert", "execverify_rl", "questions.jsonl", "-o", "questions.parquet")
    assert (status, err.splitlines()[0]) == (0, "1 record -> 1 rl row in questions.parquet")


def test_mistakes_of_trace(call: Call, tmp_path: Path) -> None:
    (tmp_path / "empty.py").write_text("x = 1\n")
    assert call("trace", "empti.py", "-o", "a.jsonl")[::2] == (
        2,
        "error: source not found: empti.py; did you mean 'empty.py'?\n",
    )
    assert call("trace", "empty.py", "-o", "a.json")[::2] == (2, "error: a.json: expected the name of a .jsonl file\n")
    status, _, err = call("trace", "empty.py", "-o", "a.jsonl", "--option", "question=1")
    assert (status, err) == (2, "error: unknown 'question'; did you mean 'questions'?\n")
    status, _, err = call("trace", "empty.py", "-o", "a.jsonl")
    assert status == 1 and "error: no rows from empty.py" in err and not (tmp_path / "a.jsonl").exists()


@pytest.mark.parametrize("columns", [80, 200])
def test_bar_fits_the_terminal(call: Call, tmp_path: Path, columns: int) -> None:
    words = ["convert", "execverify_sft", f"{tmp_path}/said.jsonl", "-o", f"{tmp_path}/r.parquet", "--max-rejects", "1"]
    start = f"import sys; sys.stderr = sys.stdout; sys.argv = ['pipeline', 'data', *{words}]"
    code = f"{start}; from pipelines.cli.main import main; main()"
    lines = run_on_terminal(code, columns).splitlines()
    assert any("converting" in line and "100% 10 records" in line and len(line.rstrip()) <= columns for line in lines)
    assert any(line.startswith("10 records -> 9 sft rows in ") for line in lines)


def test_converters_are_listed_with_their_options(call: Call) -> None:
    _, out, _ = call("converters")
    rows = {line.split("\t")[0]: line.split("\t") for line in out.splitlines()}
    assert rows["name"] == ["name", "shapes", "options", "help"]
    assert {*rows} - {"name"} == {*CONVERTERS}
    assert rows["execverify_rl"][1] == "rl"
    assert "max_tests=10" in rows["leetcode"][2].split()
    for name in CONVERTERS:
        _, out, _ = call("converters", name)
        assert all(meaning for *_, meaning in (line.split("\t") for line in out.splitlines())), name
    assert call("converters", "leetcod")[::2] == (2, "error: no converter is called 'leetcod'; did you mean 'leetcode'?\n")


def test_types_in_words() -> None:
    from typing import Literal

    assert [show_type(each) for each in (int, int | None, tuple[Literal["a", "b"], ...], list[str], None)] == [
        "whole number", "whole number or null", 'list of "a" or "b"', "list of text", "null",
    ]  # fmt: skip


def test_a_prepared_stage_is_skipped(call: Call, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    status, out, err = call("prepare", "small.yaml", "--stage", "first")
    assert status == 0
    header, counts, *reasons = [line.split("\t") for line in out.splitlines()]
    assert header == ["stage", "records", "training", "validation", "rejected", "left out", "contaminated", "held out"]
    assert (counts[:2], counts[4:], int(counts[2]) + int(counts[3])) == (["first", "10"], ["1", "0", "0", "0"], 9)
    assert reasons == [
        ["stage", "outcome", "count", "reason"],
        ["first", "rejected", "1", "1 turn, expected an even number of at least two"],
    ]
    assert f"  10 records -> {counts[2]} training and {counts[3]} validation rows, 1 rejected\n" in err
    assert err.endswith("first: runs/small/stages/first/data\nnext: pipeline run small.yaml\n")
    assert "[1/1] first/prepare: done before" in call("prepare", "small.yaml", "--stage", "first")[2]
    monkeypatch.setattr(sys, "argv", ["pipeline", "plan", "small.yaml"])
    with pytest.raises(SystemExit):
        cli.main()
    assert re.search(r"1  first/prepare +skip: done before", capfd.readouterr().out)


def test_a_failed_preparation(call: Call) -> None:
    status, _, err = call("prepare", "small.yaml")
    assert status == 1
    assert "error: second/prepare ended with status 1: error: 1 of 10 records was rejected" in err
    status, _, err = call("prepare", "small.yaml", "--stage", "secnd")
    assert (status, err) == (2, "error: no stage 'secnd'; did you mean 'second'?\n")


def test_a_hub_name_needs_a_trainers_python(call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for trainer in ("LLAMAFACTORY", "VERL"):
        monkeypatch.setenv(f"PIPELINE_{trainer}_PYTHON", "/none")
    remedy = "needs a trainer's environment; build one with `pipeline env sync llamafactory`"
    status, _, err = call("convert", "execverify_sft", "owner/name", "-o", "rows.parquet")
    assert status == 2 and err.startswith("error: owner/name is not on this machine") and remedy in err
    status, _, err = call("convert", "execverify_sft", "said.jsonl", "-o", "rows.parquet", "--tokenizer", ".")
    assert status == 2 and err == f"error: --tokenizer {remedy}\n"
    status, _, err = call("prepare", "small.yaml", "--set", "stages.first.data.train.source=owner/name@train")
    assert status == 2 and err.startswith("error: first/prepare downloads from the hub with /none: /none: no such file")
    status, _, err = call("prepare", "small.yaml", "--set", "stages.first.data.train.source=name")
    assert status == 2 and "not found: name; expected a file, a folder, or owner/name on the hub" in err
    assert not (tmp_path / "runs").exists()


TOKENIZER = """
import sys
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast
tokenizer = Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]"))
tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]")
fast.chat_template = "{% for message in messages %}{{ message.role }} says {{ message.content }} {% endfor %}"
fast.save_pretrained(sys.argv[1])
"""


@pytest.mark.nightly
def test_convert_counts_tokens(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trainer_python: Callable[[str], Path]
) -> None:
    python = trainer_python("llamafactory")
    monkeypatch.setenv("PIPELINE_LLAMAFACTORY_PYTHON", str(python))
    subprocess.run([python, "-c", TOKENIZER, tmp_path / "model"], check=True, capture_output=True)
    asked = ("convert", "execverify_sft", "said.jsonl", "-o", "rows.parquet", "--max-rejects", "0.2", "--tokenizer")
    status, out, _ = call(*asked, "model")
    assert status == 0
    # user says question 0 assistant says answer 0
    assert [line.split("\t") for line in out.splitlines()[2:]] == [
        ["file", "mean tokens", "median", "95% up to", "longest"],
        ["rows.parquet", "8.0", "8", "8", "8"],
    ]
    assert call(*asked, "modl")[::2] == (2, "error: --tokenizer: folder not found: modl; did you mean 'model'?\n")
    (tmp_path / "empty").mkdir()
    status, _, err = call(*asked, "empty")
    assert status == 1 and "error: the rows were written, but their tokens were not counted: rows: the tokenizer of " in err


@pytest.mark.nightly
def test_a_cluster_makes_the_same_rows(
    call: Call, tmp_path: Path, trainer_python: Callable[[str], Path], capfd: pytest.CaptureFixture[str]
) -> None:
    trainer_python("verl")
    capfd.readouterr()  # what building it said
    here = call("convert", "execverify_rl", "asked.json", "-o", "here.parquet")
    there = call("convert", "execverify_rl", "asked.json", "-o", "there.parquet", "--ray", "local")
    assert [each.replace("here.parquet", "") for each in here[1:]] == [each.replace("there.parquet", "") for each in there[1:]]
    assert (tmp_path / "here.parquet").read_bytes() == (tmp_path / "there.parquet").read_bytes()
    assert call("prepare", "small.yaml", "--stage", "first", "--ray", "local")[0] == 0
    assert "first/prepare: done before" in call("prepare", "small.yaml", "--stage", "first")[2]
    status, _, error = call("convert", "execverify_rl", "asked.json", "-o", "none.parquet", "--ray", "127.0.0.1:9")
    assert (status, error) == (2, "error: no Ray cluster at 127.0.0.1:9: [Errno 111] Connection refused\n")


def test_mistakes_in_the_data_are_one_line_and_status_2(call: Call) -> None:
    status, _, err = call("prepare", "small.yaml", "--set", "stages.first.data.train.source=asked.json")
    assert status == 2
    [line] = [line for line in err.splitlines() if not line.startswith("[")]
    assert line.startswith("error: first/prepare ended with status 2: error: ")
    assert "asked.json:1: no column 'conversations'; found " in line


def test_mistakes_in_the_data_section_come_first(call: Call, tmp_path: Path) -> None:
    status, out, err = call("prepare", "small.yaml", "--set", "stages.first.data.train.source=sad.jsonl")
    assert (status, out) == (2, "")
    assert "not found: " in err and "did you mean" in err
    assert not (tmp_path / "runs").exists()


def test_help_has_examples(call: Call) -> None:
    for command in ("prepare", "convert", "trace", "show"):
        status, out, _ = call(command, "--help")
        assert status == 0 and f"pipeline data {command}" in out
