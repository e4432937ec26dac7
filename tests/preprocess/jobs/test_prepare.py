"""The whole of `python -m preprocess.jobs.prepare`: files, splits, rejects, exit statuses."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from preprocess.columns import schema
from preprocess.jobs.prepare import main
from preprocess.rows import Shape
from rewards.sandbox import SandboxError, Settings

PROGRAM = """def add{n}(a):
    '''Add {n}.

    >>> add{n}(1)
    {one}
    >>> add{n}(2)
    {two}
    '''
    a += {n}
    return a
"""
PROGRAMS = "\n\n".join(PROGRAM.format(n=n, one=n + 1, two=n + 2) for n in range(8))


def _prepare(tmp_path: Path, **changes: Any) -> tuple[int, Path]:
    source = tmp_path / "programs.py"
    source.write_text(PROGRAMS)
    output = tmp_path / "out"
    config = {
        "shape": "rl",
        "train": [{"converter": "programs_execution", "source": str(source)}],
        "validation": {"fraction": 0.25},
        "seed": 17,
        "output": str(output),
        **changes,
    }
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    return main([str(path)]), output


def _read(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows


def test_no_problem_is_in_both_splits(tmp_path: Path) -> None:
    status, output = _prepare(tmp_path)
    assert status == 0
    problems = []
    for name in ("train", "validation"):
        records = _read(output / f"{name}.parquet")
        assert records
        assert [record["extra_info"]["index"] for record in records] == list(range(len(records)))
        assert {record["extra_info"]["split"] for record in records} == {name}
        problems.append({record["extra_info"]["id"].rpartition("/")[0] for record in records})
    assert not problems[0] & problems[1]
    assert len(problems[0] | problems[1]) == 8
    summary = json.loads((output / "summary.json").read_text())
    assert (summary["records"], sum(summary["rows"].values())) == (16, 16)


@pytest.mark.parametrize("fraction", [1e-6, 1 - 1e-6])
def test_each_split_has_a_problem(tmp_path: Path, fraction: float) -> None:
    status, output = _prepare(tmp_path, validation={"fraction": fraction})
    assert status == 0
    assert min(len(_read(output / f"{name}.parquet")) for name in ("train", "validation")) == 2


def test_one_problem_cannot_be_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = {"converter": "programs_execution", "source": str(tmp_path / "programs.py"), "limit": 1}
    status, output = _prepare(tmp_path, train=[source])
    assert status == 2
    assert "1 problem cannot be split" in capsys.readouterr().err
    assert not list(output.glob("*.parquet"))


def test_sources_with_the_same_problems_share_the_split(tmp_path: Path) -> None:
    _, output = _prepare(tmp_path)
    held = {record["extra_info"]["id"].split("/")[1] for record in _read(output / "validation.parquet")}
    programs = str(tmp_path / "programs.py")
    _prepare(tmp_path, train=[{"converter": "programs_code", "source": programs}])
    assert {record["extra_info"]["id"].split("/")[1] for record in _read(output / "validation.parquet")} == held


@pytest.mark.parametrize("shape", ["sft", "rl"])
def test_output_is_deterministic_and_has_the_schema(tmp_path: Path, shape: Shape) -> None:
    _, output = _prepare(tmp_path, shape=shape)
    first = {path.name: path.read_bytes() for path in output.iterdir()}
    _prepare(tmp_path, shape=shape)
    assert {path.name: path.read_bytes() for path in output.iterdir()} == first
    found = pq.read_schema(output / "train.parquet")
    assert found.remove_metadata() == schema(shape)
    assert not pq.read_metadata(output / "train.parquet").metadata


def test_seed_changes_the_split(tmp_path: Path) -> None:
    held = set()
    for seed in range(6):
        _, output = _prepare(tmp_path, seed=seed)
        held.add(tuple(record["extra_info"]["id"] for record in _read(output / "validation.parquet")))
    assert len(held) > 1


def test_dataset_info_has_every_tag(tmp_path: Path) -> None:
    _, output = _prepare(tmp_path, shape="sft")
    info = json.loads((output / "dataset_info.json").read_text())
    assert set(info) == {"train", "validation"}
    turns = _read(output / "train.parquet")[0]["conversations"]
    tags = info["train"]["tags"]
    assert [turn[tags["role_tag"]] for turn in turns] == [tags["user_tag"], tags["assistant_tag"]]
    assert info["train"]["formatting"] == "sharegpt"


def test_problems_of_separate_validation_are_held_out(tmp_path: Path) -> None:
    source = {"converter": "programs_execution", "source": str(tmp_path / "programs.py")}
    status, output = _prepare(tmp_path, validation=[{**source, "limit": 2}])
    assert status == 0
    assert [record["extra_info"]["id"] for record in _read(output / "validation.parquet")] == [
        "programs/add0/0",
        "programs/add0/1",
    ]
    assert len(_read(output / "train.parquet")) == 14
    summary = json.loads((output / "summary.json").read_text())
    assert summary["held_out"] == {"its problem is among the validation rows": 2}


def test_too_many_rejects_fail_and_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = tmp_path / "rows.jsonl"
    good = {"code": "def f(a):\n    return a", "input": "1", "output": "1", "id": "x"}
    rows.write_text(json.dumps(good) + "\n{not json\n" + json.dumps({**good, "output": "2"}) + "\n")
    train = [{"converter": "cruxeval", "source": str(rows)}]
    status, output = _prepare(tmp_path, train=train)
    assert status == 1
    assert "2 of 3 records were rejected" in capsys.readouterr().err
    rejects = [json.loads(line) for line in (output / "rejects.jsonl").read_text().splitlines()]
    assert [(reject["line"], reject["reason"][:8], reject["kind"]) for reject in rejects] == [
        (2, "not JSON", "rejected"),
        (3, "it retur", "rejected"),
    ]
    assert not (output / "train.parquet").exists()


def test_left_out_records_are_not_failures(tmp_path: Path) -> None:
    train = [{"converter": "programs_execution", "source": str(tmp_path / "programs.py")}]
    status, output = _prepare(tmp_path, train=[*train, {**train[0], "options": {"max_chars": 5}}])
    assert status == 0
    assert json.loads((output / "summary.json").read_text())["left_out"] == {"the program is longer than max_chars 5": 16}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"converter": "cruxevil"}, "did you mean 'cruxeval'"),
        ({"source": "nowhere.jsonl"}, "nowhere.jsonl does not exist"),
        ({"limit": 0}, "train[0].limit: found 0; Input should be greater than or equal to 1"),
        ({"limit": "3"}, "train[0].limit: found '3'; Input should be a valid integer"),
        ({"convertor": "x"}, "did you mean 'converter'"),
        ({"options": {"max_char": 3}}, "did you mean 'max_chars'"),
        ({"converter": "execverify_sft"}, "makes no rl rows, only sft"),
    ],
)
def test_mistake_is_one_line_and_status_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], source: dict[str, Any], message: str
) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"code": "", "input": "", "output": "", "id": ""}\n')
    status, _ = _prepare(tmp_path, train=[{"converter": "cruxeval", "source": str(rows), **source}])
    error = capsys.readouterr().err
    assert status == 2
    assert message in error
    assert error.count("\n") == 1


def test_misspelled_column_names_the_nearest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"code": "", "inputs": "", "output": "", "id": ""}\n')
    status, _ = _prepare(tmp_path, train=[{"converter": "cruxeval", "source": str(rows)}])
    assert status == 2
    assert "rows.jsonl:1: no column 'input'; did you mean 'inputs'?" in capsys.readouterr().err


def test_full_disk_is_one_line_and_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "train.parquet")

    monkeypatch.setattr("pyarrow.parquet.ParquetWriter.write_table", full)
    status, output = _prepare(tmp_path)
    assert status == 1
    assert capsys.readouterr().err == "error: train.parquet: No space left on device\n"
    assert not list(output.glob(".*"))


def test_sandbox_settings_do_not_change_the_rows(tmp_path: Path) -> None:
    _, output = _prepare(tmp_path)
    first = {path.name: path.read_bytes() for path in output.iterdir()}
    status, _ = _prepare(tmp_path, sandbox={"isolation": "weak", "workers": 3})
    assert status == 0
    assert {path.name: path.read_bytes() for path in output.iterdir()} == first


def test_missing_sandbox_is_one_line_and_status_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(settings: Settings) -> None:
        raise SandboxError(f"nothing answers at {settings.url}")

    monkeypatch.setattr("rewards.sandbox.settings._make", refuse)
    status, output = _prepare(tmp_path, sandbox={"url": "http://127.0.0.1:9"})
    assert status == 1
    assert capsys.readouterr().err == "error: nothing answers at http://127.0.0.1:9; see `pipeline doctor`\n"
    assert not list(output.iterdir())
