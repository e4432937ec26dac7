"""Conversion of one source into one file, or file by file."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from preprocess.engine.job import Source
from preprocess.errors import PrepareError, SourceError
from preprocess.jobs.single import Conversion, convert_source
from tests import ROOT


def turn(speaker: str, text: str) -> dict[str, str]:
    return {"from": speaker, "value": text}


def write_source(path: Path, numbers: Sequence[int], broken: Sequence[int] = ()) -> Path:
    """Write conversations; those in `broken` have no answer."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for number in numbers:
        answer = [] if number in broken else [turn("gpt", f"answer {number}")]
        lines.append(json.dumps({"conversations": [turn("human", f"question {number}"), *answer]}))
    path.write_text("\n".join(lines) + "\n")
    return path


def conversion(source: Path, output: Path, **changes: Any) -> Conversion:
    return Conversion(Source("execverify_sft", source), "sft", output, **changes)


def read_questions(path: Path) -> list[int]:
    return [int(row["conversations"][0]["value"].split()[1]) for row in pq.read_table(path).to_pylist()]


def read_rejects(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_one_file_and_its_rejects(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source.jsonl", range(10), broken=[3])
    updates: list[tuple[int, int, int]] = []
    result = convert_source(
        conversion(source, tmp_path / "out" / "rows.parquet", max_rejects=0.1), lambda *counts: updates.append(counts)
    )
    assert (result.rows, result.tally.records, result.tally.count("rejected")) == (9, 10, 1)
    assert read_questions(tmp_path / "out" / "rows.parquet") == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    [reject] = read_rejects(tmp_path / "out" / "rows.rejects.jsonl")
    assert (reject["source"], reject["line"], reject["kind"]) == (str(source), 4, "rejected")
    assert updates[-1] == (source.stat().st_size, source.stat().st_size, 10)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["rows.parquet", "rows.rejects.jsonl"]


def test_seed_determines_the_shuffle(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source.jsonl", range(50))
    orders = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        convert_source(conversion(source, tmp_path / f"{name}.parquet", shuffle=True, seed=seed))
        orders.append(read_questions(tmp_path / f"{name}.parquet"))
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == sorted(orders[2]) == list(range(50))


def test_per_file_keeps_the_folder_structure(tmp_path: Path) -> None:
    write_source(tmp_path / "in" / "v1.0.jsonl", [1, 2, 3], broken=[2])
    write_source(tmp_path / "in" / "deep" / "er" / "v1.1.jsonl", [4, 5])
    result = convert_source(conversion(tmp_path / "in", tmp_path / "out", per_file=True, max_rejects=0.5))
    found = {str(path.relative_to(tmp_path / "out")): rows for path, rows in result.files.items()}
    assert found == {"deep/er/v1.1.parquet": 2, "v1.0.parquet": 2}
    assert read_questions(tmp_path / "out" / "v1.0.parquet") == [1, 3]
    assert [each["source"] for each in read_rejects(tmp_path / "out" / "rejects.jsonl")] == [
        str(tmp_path / "in" / "v1.0.jsonl")
    ]


def test_colliding_outputs_are_an_error(tmp_path: Path) -> None:
    write_source(tmp_path / "in" / "a.json", [1])
    write_source(tmp_path / "in" / "a.jsonl", [2])
    with pytest.raises(SourceError, match=r"a\.jsonl: converted, it would overwrite .*a\.parquet"):
        convert_source(conversion(tmp_path / "in", tmp_path / "out", per_file=True))


@pytest.mark.parametrize(
    ("source", "output", "changes"),
    [
        ("in", "in/rows.parquet", {}),
        ("in", "in/deep", {"per_file": True}),
        ("in/a.jsonl", "in", {"per_file": True}),
        ("in/a.jsonl", "in/a.jsonl", {"per_file": True}),
        ("in/a.rejects.jsonl", "in/a.parquet", {}),
        ("in", "rows.json", {}),
        ("in", "folder.parquet", {}),
    ],
)
def test_output_overlapping_the_source_is_refused(tmp_path: Path, source: str, output: str, changes: dict[str, Any]) -> None:
    for name in ("a.jsonl", "a.rejects.jsonl"):
        write_source(tmp_path / "in" / name, [1])
    (tmp_path / "folder.parquet").mkdir()
    with pytest.raises(SourceError, match=output):
        convert_source(conversion(tmp_path / source, tmp_path / output, **changes))
    assert sorted(path.name for path in (tmp_path / "in").iterdir()) == ["a.jsonl", "a.rejects.jsonl"]


def test_too_many_rejects_keep_the_old_file_and_all_rejects(tmp_path: Path) -> None:
    output = tmp_path / "rows.parquet"
    convert_source(conversion(write_source(tmp_path / "a.jsonl", [1, 2]), output))
    source = write_source(tmp_path / "b.jsonl", range(10), broken=[3, 7])
    with pytest.raises(PrepareError, match=r"2 of 10 records were rejected.*rows\.rejects\.jsonl.*b\.jsonl:4: 1 turn,"):
        convert_source(conversion(source, output, max_rejects=0.1))
    assert read_questions(output) == [1, 2]
    assert [each["line"] for each in read_rejects(tmp_path / "rows.rejects.jsonl")] == [4, 8]


def test_no_rows_is_an_error(tmp_path: Path) -> None:
    source = write_source(tmp_path / "source.jsonl", [0], broken=[0])
    with pytest.raises(PrepareError, match=r"no rows from 1 record \(1 rejected: 1 turn, "):
        convert_source(conversion(source, tmp_path / "rows.parquet", max_rejects=1.0))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no rows: the source has no records"),
        ("\n  \n", "no rows: the source has no records"),
        ("3", "no rows from 1 record (1 rejected: a number, expected an object); see "),
        ("null\ntrue", "no rows from 2 records (1 rejected: null, expected an object; 1 rejected: true, expected an object)"),
    ],
)
def test_no_rows_says_why(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "source.json").write_text(content)
    with pytest.raises(PrepareError) as caught:
        convert_source(conversion(tmp_path / "source.json", tmp_path / "rows.parquet", max_rejects=1.0))
    assert message in str(caught.value)


@pytest.mark.parametrize("per_file", [False, True])
def test_files_that_are_not_read_are_counted(tmp_path: Path, per_file: bool) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    write_source(folder / "a.jsonl", range(3))
    for name in ("a.csv", "README"):
        (folder / name).write_text("a,b")
    output = tmp_path / ("rows" if per_file else "rows.parquet")
    result = convert_source(Conversion(Source("execverify_sft", folder, limit=2), "sft", output, per_file))
    assert (result.rows, result.tally.records) == (2, 2)
    assert [name.partition(",")[0] for name in result.tally.summarise()["left_out"]] == [
        "not read: a file without an ending",
        "not read: a .csv file",
    ]


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.preprocess.jobs.test_single import conversion
from preprocess.jobs.single import convert_source
convert_source(conversion(Path(sys.argv[1]), Path(sys.argv[2])), lambda *counts: os.kill(os.getpid(), signal.SIGKILL))
"""


def test_killed_conversion_keeps_the_old_file(tmp_path: Path) -> None:
    output = tmp_path / "rows.parquet"
    convert_source(conversion(write_source(tmp_path / "a.jsonl", [1, 2]), output))
    source = write_source(tmp_path / "b.jsonl", range(10))
    root = ROOT
    killed = subprocess.run([sys.executable, "-c", KILLED, str(source), str(output)], cwd=root)
    assert killed.returncode == -signal.SIGKILL
    assert read_questions(output) == [1, 2]
    convert_source(conversion(source, output))
    assert read_questions(output) == list(range(10))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "b.jsonl", "rows.parquet", "rows.rejects.jsonl"]
