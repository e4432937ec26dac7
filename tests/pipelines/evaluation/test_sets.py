"""Evaluation sets: those that ship, set files, other sources, and mistakes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from pipelines.errors import InputError
from pipelines.evaluation.problems import make_problems
from pipelines.evaluation.records import Problem, read
from pipelines.evaluation.sets import SETS, EvaluationSet, list_sets, load_set, require_source
from preprocess.converters import CONVERTERS
from tests import ROOT

NAMES = sorted(path.stem for path in SETS.glob("*.yaml"))
REAL = ROOT.parent / "shared" / "data"
SET = """\
name: mine
data: {converter: humaneval, source: rows.jsonl}
reward: code_tests
samples: 4
temperature: 0.8
metric: pass@4
"""

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write mine.yaml into the current folder, which has rows.jsonl."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.jsonl").write_bytes(CONVERTERS["humaneval"].example.read_bytes())

    def _write(text: str) -> Path:
        (tmp_path / "mine.yaml").write_text(dedent(text), encoding="utf-8")
        return Path("mine.yaml")

    return _write


def problem(name: str, *options: str) -> str:
    with pytest.raises(InputError) as caught:
        load_set(name, options)
    return str(caught.value)


def test_names_of_the_sets_that_ship() -> None:
    assert {
        *("humaneval", "humaneval-plus", "mbpp", "mbpp-plus", "cruxeval-o", "cruxeval-i", "leetcode", "apps"),
        *("livecodebench", "livecodebench-exec", "reval", "bootcamp", "gsm8k"),
    } <= {*NAMES}
    assert [each.name for each in list_sets()] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_shipped_set(name: str, tmp_path: Path) -> None:
    """It is valid, says where its source is from, and makes problems of the example of its converter."""
    given = load_set(name)
    assert given.name == name
    assert given.description and given.get
    assert Path(given.data.source).is_absolute()
    example = CONVERTERS[given.data.converter].example
    made = make_problems(load_set(name, [f"data.source={example}"]), tmp_path / "problems.jsonl")
    assert made.problems == len(list(read(tmp_path / "problems.jsonl", Problem))) > 0


def test_sources_are_in_one_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_set("humaneval").data.source == str(tmp_path / "evaluation-data" / "HumanEval.jsonl.gz")
    monkeypatch.setenv("EVALUATION_DATA", "elsewhere")
    assert load_set("humaneval").data.source == str(tmp_path / "elsewhere" / "HumanEval.jsonl.gz")


def test_missing_source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as caught:
        require_source(load_set("humaneval"))
    assert str(caught.value) == (
        f"set humaneval: {tmp_path}/evaluation-data/HumanEval.jsonl.gz is not on this machine; "
        "get it: https://github.com/openai/human-eval/raw/master/data/HumanEval.jsonl.gz, "
        "or set EVALUATION_DATA to the folder that has it"
    )
    assert caught.value.exit_status == 2
    (tmp_path / "evaluation-data").mkdir()
    (tmp_path / "evaluation-data" / "HumanEval.jsonl.gz").touch()
    require_source(load_set("humaneval"))


def test_set_file(write: Write) -> None:
    given = load_set(str(write(SET)), ["samples=8", "data.options.max_tests=3"])
    assert (given.samples, given.temperature, given.metric) == (8, 0.8, "pass@4")
    assert given.data.source == str(Path("rows.jsonl").absolute())
    assert given.data.options == {"max_tests": 3}
    assert [each.name for each in given.rewards] == ["code_tests"]
    assert EvaluationSet.model_validate_json(given.model_dump_json()) == given


def test_variables(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROWS", "rows.jsonl")
    assert load_set(str(write(SET.replace("rows.jsonl", "'${env:ROWS}'")))).data.source == str(Path("rows.jsonl").absolute())


@pytest.mark.parametrize("name", ["mbpp.jsonl", "mbpp.jsonl.gz"])
def test_source_may_be_compressed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str) -> None:
    monkeypatch.setenv("EVALUATION_DATA", str(tmp_path))
    (tmp_path / name).touch()
    given = load_set("mbpp")
    require_source(given)
    assert given.data.source == str(tmp_path / name)
    other = load_set(f"mbpp:{tmp_path / 'mbpp.jsonl.gz'}")
    assert other.data.source == str(tmp_path / name)


def test_set_with_another_source(write: Write) -> None:
    write(SET)
    given = load_set("humaneval-plus:rows.jsonl")
    assert (given.name, given.data.converter, given.data.source) == (
        "humaneval-plus-rows",
        "evalplus",
        str(Path("rows.jsonl").absolute()),
    )
    assert given.metric == "pass@1"
    with pytest.raises(
        InputError, match=r"^set humaneval-plus-row: \S+/row\.jsonl is not on this machine; did you mean '\S+/rows"
    ):
        require_source(load_set("humaneval-plus:row.jsonl"))


@pytest.mark.parametrize(
    ("name", "reward", "metric", "source"),
    [
        ("kodcode:rows.jsonl", "code_tests", "pass@1", "/rows.jsonl"),
        ("execverify_rl:rows.jsonl", "white_box", "accuracy", "/rows.jsonl"),
        ("verl_rows:owner/name:subset@test", "code_tests", "pass@1", "owner/name:subset@test"),
    ],
)
def test_converter_with_a_source(write: Write, name: str, reward: str, metric: str, source: str) -> None:
    write(SET)
    given = load_set(name)
    assert (given.rewards[0].name, given.metric) == (reward, metric)
    assert given.data.source.endswith(source)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("humanevl", "no evaluation set is called 'humanevl'; did you mean 'humaneval'?"),
        ("humanevl:rows.jsonl", "no set or converter is called 'humanevl'; did you mean 'humaneval'?"),
        ("min.yaml", "set file not found: min.yaml; did you mean 'mine.yaml'?"),
        (
            "alpaca:rows.jsonl",
            "alpaca:rows.jsonl: data.converter: converter alpaca makes only sft rows, which have no references",
        ),
    ],
)
def test_unknown_names(write: Write, name: str, message: str) -> None:
    write(SET)
    assert problem(name).startswith(message)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("samples", "sampels", "mine.yaml:4: sampels: unknown key; did you mean 'samples'?"),
        ("samples: 4", "samples: many", "mine.yaml:4: samples: found the text 'many', expected a whole number"),
        ("samples: 4", "samples: 0", "mine.yaml:4: samples: found 0, expected at least 1"),
        ("reward: code_tests", "reward: code_test", "mine.yaml:3: reward: no reward is called 'code_test'"),
        (
            "reward: code_tests",
            "reward: {name: code_tests, options: {tests: 3}}",
            "mine.yaml:3: reward: reward code_tests has no",
        ),
        ("reward: code_tests", "reward: [white_box, code]", "mine.yaml:3: reward"),
        ("humaneval", "humanevl", "mine.yaml:2: data: no converter is called 'humanevl'; did you mean 'humaneval'?"),
        ("rows.jsonl}", "rows.jsonl, options: {max_test: 3}}", "mine.yaml:2: data: converter humaneval: unknown 'max_test'"),
        ("humaneval", "sharegpt", "mine.yaml:2: data.converter: converter sharegpt makes only sft rows"),
        ("pass@4", "pass@8", "mine.yaml:1: metric pass@8 needs at least 8 samples; samples is 4"),
        ("pass@4", "pas@4", "mine.yaml:1: metric is 'pas@4', expected pass@K such as pass@1, accuracy or share"),
        ("temperature: 0.8", "temperature: 0", "mine.yaml:1: at temperature 0 all 4 samples of a problem are the same"),
        ("name: mine\n", "", "mine.yaml:1: missing key name"),
        ("data: {converter: humaneval, source: rows.jsonl}", "data: []", "mine.yaml:2: data: found a list, expected a mapping"),
        (SET, "- a", "mine.yaml:1: found a list, expected a mapping with the keys name, data, reward …"),
        ("rows.jsonl}", "rows.jsonl, pass_rates: {file: x.jsonl}}", "mine.yaml:1: data.pass_rates selects training rows"),
    ],
)
def test_mistakes(write: Write, before: str, after: str, message: str) -> None:
    text = SET.replace(before, after)
    assert text != SET
    assert problem(str(write(text)))[: len(message)] == message


def test_mistakes_of_options(write: Write) -> None:
    assert problem(str(write(SET)), "sample=3") == "--set sample: unknown key; did you mean 'samples'?"
    assert problem("humaneval", "metric").startswith("--set metric: expected key=value")
