"""Shuffling keeps every row, depends on the seed, and mixes rows of all places."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from preprocess.columns import pack
from preprocess.engine.shuffling import Shuffle, ShuffledRows
from preprocess.engine.writing import RowsFile
from preprocess.rows import Message, RlRow


def _write(path: Path, seed: int, expected_bytes: int) -> list[str]:
    shuffle = Shuffle.of(seed, expected_bytes)
    rows = ShuffledRows(RowsFile(path, "rl", "train"), shuffle)
    for start in range(0, 900, 100):
        batch = [
            RlRow(problem="p", data_source="d", prompt=(Message("user", "Q"),), ground_truth={}, id=str(number))
            for number in range(start, start + 100)
        ]
        drawn, counts = shuffle.draw(batch, f"rows:{start}")
        assert (len(counts), sum(counts)) == (shuffle.buckets, 100)
        rows.write(pack(drawn, [""] * len(batch), "rl"), counts)
    rows.keep()
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    infos = pq.read_table(path)["extra_info"].to_pylist()
    assert [info["index"] for info in infos] == list(range(900))
    return [info["id"] for info in infos]


@pytest.mark.parametrize("expected_bytes", [0, 10**8, 10**12])
def test_shuffle_keeps_and_mixes_all_rows(tmp_path: Path, expected_bytes: int) -> None:
    path = tmp_path / "train.parquet"
    order = _write(path, 17, expected_bytes)
    assert sorted(order, key=int) == [str(number) for number in range(900)]
    assert order == _write(path, 17, expected_bytes)
    assert order != _write(path, 18, expected_bytes)
    # The first ninth of the rows has rows of each ninth of the source.
    assert {int(each) // 100 for each in order[:100]} == set(range(9))


def test_discard_deletes_everything(tmp_path: Path) -> None:
    rows = ShuffledRows(RowsFile(tmp_path / "train.parquet", "rl", "train"), Shuffle(17, 1))
    row = RlRow(problem="p", data_source="d", prompt=(Message("user", "Q"),), ground_truth={})
    rows.write(pack([row], [""], "rl"), [1])
    rows.discard()
    assert not list(tmp_path.iterdir())
