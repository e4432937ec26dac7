"""The files of an evaluation: the same fields as in `pipelines.evaluation.records`, and invalid files."""

from __future__ import annotations

import json
import typing
from pathlib import Path

import msgspec
import pytest

from pipelines.evaluation import records
from preprocess.converters import CONVERTERS
from preprocess.errors import SourceError
from preprocess.filters import pass_rates
from preprocess.sources.evaluations import EvaluatedProblem, EvaluatedResponse, SampledProblem, read_problems

PROBLEM = records.Problem(row="a", prompt=({"role": "user", "content": "?"},), data_source="d", ground_truth="{}")
RESPONSE = records.Response(
    row="a", sample=0, text="!", tokens=1, finish="stop", score=1.5, accuracy=None, failed="why", calls=2
)


def write(folder: Path, problems: list[records.Problem], responses: list[records.Response]) -> Path:
    for name, found in (("problems", problems), ("responses", responses)):
        appender = records.Appender(folder / f"{name}.jsonl")
        for each in found:
            appender.append(each)
        appender.close()
    return folder


@pytest.mark.parametrize(
    ("ours", "theirs", "skipped"),
    [
        (EvaluatedProblem, records.Problem, {"data_source", "ground_truth", "extra_info", "tags"}),
        (EvaluatedResponse, records.Response, {"share", "has_form", "reason", "prompt_tokens"}),
        (pass_rates._Line, records.Response, None),
    ],
)
def test_fields_are_those_of_the_evaluation(
    ours: type[msgspec.Struct], theirs: type[msgspec.Struct], skipped: set[str] | None
) -> None:
    mine, its = (typing.get_type_hints(each) for each in (ours, theirs))
    read = mine.keys() - {"id", "pass_rate"}
    assert read <= its.keys()
    assert skipped is None or its.keys() - read == skipped
    if ours is EvaluatedResponse:
        assert {name: mine[name] for name in read} == {name: its[name] for name in read}


def test_written_records_are_read(tmp_path: Path) -> None:
    (record,) = read_problems(write(tmp_path, [PROBLEM], [RESPONSE, msgspec.structs.replace(RESPONSE, sample=1, accuracy=1.0)]))
    found = msgspec.json.decode(record.text, type=SampledProblem)
    assert (found.problem.row, found.problem.prompt) == ("a", [{"role": "user", "content": "?"}])
    first, second = found.responses
    assert msgspec.structs.asdict(first) == {
        name: value for name, value in msgspec.structs.asdict(RESPONSE).items() if name in EvaluatedResponse.__struct_fields__
    }
    assert (second.sample, second.accuracy) == (1, 1.0)


def test_example_has_the_records_of_an_evaluation() -> None:
    folder = CONVERTERS["rejection_sampled"].example
    problems = list(records.read(folder / "problems.jsonl", records.Problem))
    responses = list(records.read(folder / "responses.jsonl", records.Response))
    assert {each.row for each in responses} < {each.row for each in problems}


def test_sets_of_an_evaluation_are_read_in_order(tmp_path: Path) -> None:
    for name in ("b", "a"):
        write(tmp_path / name, [msgspec.structs.replace(PROBLEM, row=row) for row in "xy"], [])
    (tmp_path / "a" / "generated.jsonl").write_text("{}\n")
    assert [(Path(each.path).parent.name, each.line) for each in read_problems(tmp_path)] == [
        ("a", 1), ("a", 2), ("b", 1), ("b", 2),
    ]  # fmt: skip
    assert [each.path for each in read_problems(tmp_path / "b" / "responses.jsonl")] == [str(tmp_path / "b/problems.jsonl")] * 2


def test_broken_and_unknown_rows_are_rejected_and_a_torn_line_skipped(tmp_path: Path) -> None:
    other = [msgspec.structs.replace(RESPONSE, row="other", sample=sample) for sample in range(2)]
    write(tmp_path, [PROBLEM, PROBLEM], [*other, RESPONSE])
    with (tmp_path / "responses.jsonl").open("a") as file:
        file.write('nothing\n{"score": 1}\n{"row": "a", "sam')
    with (tmp_path / "problems.jsonl").open("a") as file:
        file.write('[]\n{"row": "b"')
    broken = [(Path(each.path).name, each.line, each.broken) for each in read_problems(tmp_path) if each.broken]
    assert [each[:2] for each in broken] == [
        ("responses.jsonl", 4), ("responses.jsonl", 5), ("problems.jsonl", 2), ("problems.jsonl", 3), ("responses.jsonl", 1),
    ]  # fmt: skip
    assert broken[0][2].startswith("not a response of an evaluation: JSON is malformed")
    assert broken[1][2] == "not a response of an evaluation: Object missing required field `row`"
    assert broken[2][2] == "a second problem 'a'"
    assert broken[4][2] == "row 'other', of 2 responses, is not in problems.jsonl"


def test_missing_files_are_one_line_errors(tmp_path: Path) -> None:
    expected = "expected the folder of an evaluation, or of one of its sets, with responses.jsonl in it"
    for source, message in (
        (tmp_path / "x", f"{tmp_path}/x does not exist: {expected}"),
        (tmp_path, f"{tmp_path}: {expected}"),
    ):
        with pytest.raises(SourceError) as error:
            list(read_problems(source))
        assert str(error.value) == f"source {message}"
    (tmp_path / "scores.jsonl").write_text(json.dumps({"id": "a"}))
    with pytest.raises(SourceError, match=r"scores\.jsonl: expected the folder of an evaluation"):
        list(read_problems(tmp_path / "scores.jsonl"))
    (tmp_path / "responses.jsonl").write_text("")
    with pytest.raises(SourceError, match=r"responses.jsonl: no problems.jsonl next to it, which has the prompts of its rows"):
        list(read_problems(tmp_path))
