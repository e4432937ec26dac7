"""Every format gives the same records and lines, at every chunk size."""

import gzip
import json
import pickle
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from preprocess.errors import SourceError
from preprocess.sources.reading import Chunk, Record, list_files, list_unread, name_file, pack_records, read_chunks

ROWS: list[dict[str, Any]] = [{"n": n, "text": "ü\u2028" * n} for n in range(40)]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS)


def _write(folder: Path, name: str) -> Path:
    path = folder / name
    text = LINES if "jsonl" in name or name == "lines.json" else json.dumps(ROWS, indent=1)
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(ROWS), path, row_group_size=16)
    elif name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, encoding="utf-8")
    return path


def _read(source: Path, size: int) -> tuple[list[Chunk], list[tuple[int, Any]]]:
    # Pickled, as for another process.
    chunks = [pickle.loads(pickle.dumps(chunk)) for chunk in read_chunks(source, list_files(source), size=size)]
    return chunks, [(record.line, json.loads(record.text)) for chunk in chunks for record in chunk.read()]


@pytest.mark.parametrize("size", [1, 200, 1_000_000])
@pytest.mark.parametrize(
    "name",
    ["a.jsonl", "a.jsonl.gz", "a.json", "a.json.gz", "a.parquet", "list.jsonl", "lines.json"],
)
def test_all_formats_give_the_same_records(tmp_path: Path, name: str, size: int) -> None:
    path = _write(tmp_path, name)
    if name == "list.jsonl":  # a list with the ending of JSON lines
        path.write_text(json.dumps(ROWS))
    chunks, records = _read(path, size)
    assert records == list(enumerate(ROWS, 1))
    assert len(chunks) > 1 or size > 1000
    assert 0 < sum(chunk.size for chunk in chunks) <= path.stat().st_size
    assert {chunk.name for chunk in chunks} == {name.partition(".")[0]}


def test_line_numbers_with_blank_lines_and_no_final_newline(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('\n{"n": 1}\n  \n\n{"n": 2}')
    for size in (1, 100):
        assert _read(path, size)[1] == [(2, {"n": 1}), (5, {"n": 2})]


def test_folder_without_hidden_files(tmp_path: Path) -> None:
    for name in ("b/one.jsonl", "a.jsonl", ".cache/two.jsonl", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text('{"n": 1}\n')
    chunks, _ = _read(tmp_path, 100)
    assert [chunk.name for chunk in chunks] == ["a", "b/one"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl.gz", b"no gzip", "Not a gzipped file"),
        ("a.jsonl.gz", gzip.compress(b'{"a": 1}\n' * 9, mtime=0)[:-9], "end-of-stream"),
        ("a.parquet", b"no parquet", "a.parquet"),
        ("a.json", b'[{"a": 1}', "a.json:1: cut short"),
        ("a.csv", b"a,b", "expected .jsonl, .jsonl.gz"),
    ],
)
def test_unreadable_file_is_a_one_line_error(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SourceError) as caught:
        _read(path, 100)
    assert message in str(caught.value)


def test_packed_records_stay_with_their_file() -> None:
    records = [Record(n, b"{}", path=f"/s/{'a' if n < 70 else 'b'}.py") for n in range(75)]
    chunks = list(pack_records(records, Path("/s")))
    assert [(chunk.name, chunk.first, len(list(chunk.read()))) for chunk in chunks] == [
        ("a", 0, 64),
        ("a", 64, 6),
        ("b", 70, 5),
    ]


def test_name_file() -> None:
    assert name_file(Path("/s/train/game24.jsonl.gz"), Path("/s")) == "train/game24"
    assert name_file(Path("/s/game24.jsonl"), Path("/s/game24.jsonl")) == "game24"


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["a.v1.jsonl", "a.v2.jsonl"], ["a.v1", "a.v2"]),
        (["a-1.5.jsonl.gz", "a-1.6.jsonl.gz"], ["a-1.5", "a-1.6"]),
        (["data.2024.parquet", "data.2025.parquet", "data.parquet"], ["data.2024", "data.2025", "data"]),
        (["v1.0/a.json", "v1.1/a.json"], ["v1.0/a", "v1.1/a"]),
        (["a.json", "a.jsonl", "a.jsonl.gz", "a.parquet"], ["a.json", "a", "a.jsonl.gz", "a.parquet"]),
        (["a.json.gz", "b.jsonl"], ["a", "b"]),
        (["a.v1.py", "a.v2.py", "b.py"], ["a.v1", "a.v2", "b"]),
    ],
)
def test_files_of_a_source_have_different_names(tmp_path: Path, files: list[str], names: list[str]) -> None:
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    assert [name_file(tmp_path / file, tmp_path) for file in files] == names
    assert name_file(tmp_path / files[0], tmp_path / files[0]) == Path(names[0]).name.removesuffix(".json")


def test_parquet_reads_only_the_given_columns(tmp_path: Path) -> None:
    path = _write(tmp_path, "a.parquet")
    for columns, read in ((["n"], {"n"}), (["n", "absent"], {"n", "text"}), ([], {"n", "text"})):
        (chunk, *_) = read_chunks(path, [path], columns)
        assert {key for record in chunk.read() for key in json.loads(record.text)} == read


def test_large_row_group_is_read_in_chunks(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_pylist([{"text": f"{n} " * 2000} for n in range(500)]), path)
    assert pq.read_metadata(path).num_row_groups == 1
    chunks = list(read_chunks(path, [path], size=100_000))
    assert len(chunks) > 10
    assert sum(len(list(chunk.read())) for chunk in chunks) == 500


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        ("utf-16", "UTF-16"),
        ("utf-16-le", "UTF-16LE"),
        ("utf-16-be", "UTF-16BE"),
        ("utf-32", "UTF-32"),
        ("utf-32-be", "UTF-32BE"),
    ],
)
def test_other_encodings_are_named(tmp_path: Path, encoding: str, name: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(LINES.encode(encoding))
    with pytest.raises(SourceError, match=f"a.jsonl: encoded as {name}, expected UTF-8; convert it with `iconv -f {name} "):
        _read(path, 100)


def test_byte_order_mark_of_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(ROWS).encode())
    assert _read(path, 100)[1] == list(enumerate(ROWS, 1))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(b"{}", mtime=0), "gzip data; end its name with .gz"),
        (b"\x28\xb5\x2f\xfd", "zstd data; unpack it"),
        (b"PAR1", "parquet data; end its name with .parquet"),
        (json.dumps(ROWS[1], indent=1).encode(), "a.jsonl:1: an object over several lines, expected one object per line"),
        (b'{"data": [\n{"n": 1},\n{"n": 2}\n]}', "a.jsonl:1: an object over several lines"),
        (b'{"n": 1,\n"m": 2}', "a.jsonl:1: an object over several lines"),
    ],
)
def test_content_of_another_kind_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(content)
    with pytest.raises(SourceError) as caught:
        _read(path, 100)
    assert message in str(caught.value)


def test_broken_first_line_is_a_record(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"n": [\n{"n": 2}\n')
    chunks = list(read_chunks(path, [path]))
    assert [record.line for chunk in chunks for record in chunk.read()] == [1, 2]


def test_files_of_a_folder_that_are_not_read(tmp_path: Path) -> None:
    for name in ("a.JSONL", "b.Parquet", "c.jsonl.zst", "d.csv", "e.txt", "README", ".hidden"):
        (tmp_path / name).touch()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "f.jsonl").touch()
    (tmp_path / "linked").symlink_to(tmp_path / "other")
    assert [path.name for path in list_files(tmp_path / "linked")] == ["f.jsonl"]
    (tmp_path / "linked").unlink()
    assert [path.name for path in list_files(tmp_path)] == ["a.JSONL", "b.Parquet", "f.jsonl"]
    expected = ["a file without an ending", "a .jsonl.zst file", "a .csv file", "a .txt file"]
    assert [each.reason.partition(",")[0] for each in list_unread(tmp_path)] == [f"not read: {each}" for each in expected]


@pytest.mark.parametrize(
    ("link", "target", "message"),
    [
        ("gone.jsonl", "nothing.jsonl", "gone.jsonl: a link to nothing.jsonl, which does not exist"),
        ("again", "sub", "the same folder as"),
        ("sub/up", "..", "the same folder as"),
    ],
)
def test_links_of_a_folder(tmp_path: Path, link: str, target: str, message: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.jsonl").touch()
    (tmp_path / link).symlink_to(target)
    with pytest.raises(SourceError) as caught:
        list_files(tmp_path)
    assert message in str(caught.value)


def test_folders_without_files_to_read(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"has no .jsonl, .*, .parquet file: it is empty"):
        list_files(tmp_path)
    (tmp_path / "a.csv").touch()
    with pytest.raises(SourceError, match=r"file; found .csv"):
        list_files(tmp_path)


def test_binary_columns_of_parquet_are_texts(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"text": ["ü".encode()], "image": [b"\xff"]}), path)
    (chunk,) = read_chunks(path, [path], ["text"])
    assert [json.loads(record.text) for record in chunk.read()] == [{"text": "ü"}]
    with pytest.raises(SourceError, match=r"a.parquet: column 'image' is binary and not UTF-8 text"):
        list(read_chunks(path, [path], ["text", "image"]))


def test_two_columns_of_one_name(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"]), path)
    with pytest.raises(SourceError, match=r"a.parquet: two columns are called 'text'"):
        list(read_chunks(path, [path]))
