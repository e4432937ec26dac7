"""Problems of a set: their order, names, tags and limit, and records that give none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import InputError, StepError
from pipelines.evaluation.problems import Made, make_problems
from pipelines.evaluation.records import Problem, read
from pipelines.evaluation.sets import EvaluationSet
from preprocess.config import Source
from preprocess.converters import CONVERTERS


def make_set(source: Path | str, converter: str = "apps", **options: Any) -> EvaluationSet:
    return EvaluationSet(
        name="mine", data=Source(converter=converter, source=str(source), options=options), reward="code_tests", metric="pass@1"
    )


def write_apps(path: Path, *difficulties: str, tests: bool = True) -> Path:
    pairs = json.dumps({"inputs": ["1\n"], "outputs": ["2\n"]}) if tests else ""
    rows = [
        {"question": f"Double {each} {n}", "input_output": pairs, "difficulty": each} for n, each in enumerate(difficulties)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def make(given: EvaluationSet, folder: Path, limit: int | None = None) -> tuple[Made, list[Problem]]:
    made = make_problems(given, folder / "set" / "problems.jsonl", limit)
    return made, list(read(folder / "set" / "problems.jsonl", Problem))


def test_problems(tmp_path: Path) -> None:
    source = write_apps(tmp_path / "rows.jsonl", "interview", "introductory")
    made, problems = make(make_set(source), tmp_path)
    assert made.describe() == "2 problems from 2 records"
    first, second = problems
    assert (first.row, second.row) == ("rows:1", "rows:2")
    assert first.prompt[0]["role"] == "user" and first.prompt[0]["content"].startswith("Double interview 0\n")
    assert json.loads(first.ground_truth) == {"inputs": ["1\n"], "outputs": ["2\n"]}
    assert (first.data_source, first.tags) == ("apps", {"source": "apps", "difficulty": "interview"})
    assert second.extra_info == {
        "index": 1,
        "split": "test",
        "id": "rows:2",
        "detail": '{"difficulty": "introductory"}',
        "tool_selection": [],
    }
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["problems.jsonl"]


def test_the_same_source_gives_the_same_file(tmp_path: Path) -> None:
    """Also where programs are run for the problems, several at a time."""
    given = make_set(CONVERTERS["cruxeval"].example, "cruxeval")
    texts = []
    for name in ("a", "b"):
        make_problems(given, tmp_path / name)
        texts.append((tmp_path / name).read_bytes())
    assert texts[0] == texts[1]


def test_limit(tmp_path: Path) -> None:
    source = write_apps(tmp_path / "rows.jsonl", *["interview"] * 5)
    made, problems = make(make_set(source), tmp_path, 3)
    assert (made.problems, [each.row for each in problems]) == (3, ["rows:1", "rows:2", "rows:3"])


def test_records_without_problem_are_counted(tmp_path: Path) -> None:
    source = write_apps(tmp_path / "rows.jsonl", "interview", "competition", "introductory")
    with source.open("a", encoding="utf-8") as file:
        file.write("{\n")
    made, problems = make(make_set(source, difficulty=["interview"]), tmp_path)
    assert len(problems) == made.problems == 1
    assert made.without == 3
    assert made.describe().startswith("1 problem from 4 records; 3 gave none: its difficulty is competition (1), ")
    rejects = [json.loads(line) for line in (tmp_path / "set" / "problems.rejects.jsonl").read_text().splitlines()]
    assert [(each["line"], each["kind"]) for each in rejects] == [(2, "left_out"), (3, "left_out"), (4, "rejected")]


def test_names_are_unique(tmp_path: Path) -> None:
    record = json.loads(CONVERTERS["humaneval"].example.read_text(encoding="utf-8").splitlines()[0])
    source = tmp_path / "rows.jsonl"
    source.write_text(f"{json.dumps(record)}\n" * 2, encoding="utf-8")
    _, problems = make(make_set(source, "humaneval"), tmp_path)
    assert [each.row for each in problems] == ["HumanEval/0", "HumanEval/0#2"]


def test_a_set_without_references(tmp_path: Path) -> None:
    source = write_apps(tmp_path / "rows.jsonl", "interview", "interview", tests=False)
    with pytest.raises(InputError) as caught:
        make(make_set(source), tmp_path)
    assert str(caught.value) == (
        f"set mine: none of 2 records has references to score responses by; the first: {source}:1: it has no tests"
    )
    assert not list((tmp_path / "set").iterdir())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "set mine: {path} has no records"),
        ("{}\n", "set mine: {path}:1: no column 'question'"),
    ],
)
def test_broken_sources(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        make(make_set(path), tmp_path)
    expected = message.format(path=path)
    assert str(caught.value)[: len(expected)] == expected


def test_missing_source(tmp_path: Path) -> None:
    write_apps(tmp_path / "rows.jsonl", "interview")
    with pytest.raises(InputError, match=r"row\.jsonl is not on this machine; did you mean '\S+/rows\.jsonl'\?$"):
        make(make_set(tmp_path / "row.jsonl"), tmp_path)


def test_hub_name_without_an_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.evaluation.problems.find_ready", lambda: None)
    with pytest.raises(InputError, match="set mine: owner/name@test is a data set of the hub; downloading it needs"):
        make(make_set("owner/name@test"), tmp_path)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "set").touch()
    source = write_apps(tmp_path / "rows.jsonl", "interview")
    with pytest.raises(StepError, match=r"^set mine: .*/set.* cannot be written: "):
        make(make_set(source), tmp_path)
